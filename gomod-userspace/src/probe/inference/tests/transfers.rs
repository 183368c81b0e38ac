// SPDX-License-Identifier: MIT OR Apache-2.0
//! Transfers that break off, stop, or crawl.

use super::*;

#[test]
fn transfers_that_break_by_turns_are_not_well() {
    let world = world(5, |arm, number| {
        (matches!(arm, Arm::Download { .. }) && number < 3)
            .then_some(Ending::Cut(transfer(1_000, 10)))
    });
    let findings = infer(&world);
    assert_eq!(findings[0].verdict, Verdict::ControlFailed);
    assert_eq!(
        findings[0].evidence.get("failing").unwrap(),
        &serde_json::json!([format!("download@{TARGET}")])
    );
}

#[test]
fn transfers() {
    let cut_at = |bytes: [u64; 5]| {
        world(5, move |arm, number| {
            matches!(arm, Arm::Download { .. })
                .then(|| Ending::Cut(transfer(bytes[number], 100_000)))
        })
    };
    assert_eq!(
        only(&cut_at([16_384, 17_000, 16_384, 16_000, 16_384])),
        (Verdict::VolumeCut, Confidence::Likely)
    );
    assert_eq!(
        only(&cut_at([1_000, 70_000, 200_000, 5_000, 90_000])).0,
        Verdict::Seen(Passive::BodyCut)
    );
    let slow = world(5, |arm, _| {
        matches!(arm, Arm::Download { .. }).then(|| Ending::Unfinished(transfer(32_000, 8_000_000)))
    });
    assert_eq!(only(&slow), (Verdict::Throttling, Confidence::Likely));
    let far = world(5, |arm, _| {
        matches!(arm, Arm::Download { .. })
            .then(|| Ending::Downloaded(transfer(262_144, 4_000_000)))
    });
    assert_eq!(only(&far).0, Verdict::Ok);
}
