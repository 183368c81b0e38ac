// SPDX-License-Identifier: MIT OR Apache-2.0
//! Downloads without fault: every protocol, family and link.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use gomod_lab::{
    DIRECT, Families, Family, Lab, LabBuilder, Modules, PROXY, Rate, SUMDB, toolchain,
};
use libtest_mimic::Trial;

use crate::support::{LONG, Outcome, newest, run, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial!(every_toolchain_downloads_and_verifies),
        trial!(http2_unless_go_is_told_otherwise),
        trial!(ipv4_alone),
        trial!(ipv6_alone),
        trial!(direct_modules_come_from_their_own_host),
        trial!(hashes_come_from_the_checksum_database),
        trial!(hashes_come_through_the_proxy_if_it_offers_them),
        trial!(the_project_builds_and_runs),
        trial!(connecting_takes_a_round_trip),
        trial!(lost_packets_are_sent_again),
        trial!(the_rate_limits),
        trial!(nameservers_answer_over_tcp_too),
        trial!(two_labs_at_once_know_nothing_of_each_other),
        trial!(genuine_syn_acks_have_crossed_routers),
    ]
}

fn downloads(lab: &Lab, environment: &[(&str, &str)]) -> Outcome {
    let project = lab.project()?;
    let mut command = project.go(&newest()?, ["mod", "download"]);
    command.envs(environment.iter().copied());
    let ran = run(command, LONG)?;
    assert!(ran.succeeded(), "{ran:?}");
    assert_eq!(ran.stderr, "");
    for module in lab.modules() {
        assert!(
            project.lock_file(module).with_extension("zip").is_file(),
            "{} is not in the cache",
            module.path
        );
    }
    Ok(())
}

fn started(builder: LabBuilder) -> Result<Lab, Box<dyn std::error::Error>> {
    Ok(builder.start()?)
}

fn every_toolchain_downloads_and_verifies() -> Outcome {
    let lab = started(Lab::builder())?;
    newest()?;
    for toolchain in toolchain::installed() {
        let project = lab.project()?;
        for arguments in [["mod", "download"], ["mod", "verify"]] {
            let ran = run(project.go(&toolchain, arguments), LONG)?;
            assert!(
                ran.succeeded(),
                "go {} {arguments:?}: {ran:?}",
                toolchain.version
            );
        }
    }
    Ok(())
}

fn http2_unless_go_is_told_otherwise() -> Outcome {
    for (environment, http2) in [
        (&[][..], true),
        (&[("GODEBUG", "http2client=0")][..], false),
    ] {
        let lab = started(Lab::builder())?;
        downloads(&lab, environment)?;
        let requests = lab.requests();
        assert_eq!(requests.len(), lab.modules().len() * 3, "{requests:#?}");
        assert!(requests.iter().all(|request| request.http2 == http2
            && request.status == 200
            && request.host == PROXY));
    }
    Ok(())
}

fn ipv4_alone() -> Outcome {
    one_family(Families::V4, Family::V4)
}

fn ipv6_alone() -> Outcome {
    one_family(Families::V6, Family::V6)
}

fn one_family(families: Families, family: Family) -> Outcome {
    let lab = started(Lab::builder().families(families))?;
    downloads(&lab, &[])?;
    assert!(
        lab.requests()
            .iter()
            .all(|request| request.family == family)
    );
    Ok(())
}

fn direct_modules_come_from_their_own_host() -> Outcome {
    let lab = started(Lab::builder().modules(Modules::many(3)))?;
    downloads(&lab, &[("GOPROXY", "direct")])?;
    assert!(lab.requests().iter().all(|request| request.host == DIRECT));
    Ok(())
}

fn hashes_come_from_the_checksum_database() -> Outcome {
    hashes_come_from(Lab::builder(), SUMDB, "/lookup/")
}

fn hashes_come_through_the_proxy_if_it_offers_them() -> Outcome {
    hashes_come_from(
        Lab::builder().proxied_checksum_database(),
        PROXY,
        "/sumdb/sum.golang.org/lookup/",
    )
}

fn hashes_come_from(builder: LabBuilder, host: &str, prefix: &str) -> Outcome {
    // Enough for a full tile.
    let lab = started(builder.modules(Modules {
        count: 260,
        average_bytes: 100,
        seed: 1,
    }))?;
    let project = lab.project()?.without_sums()?;
    let ran = run(project.go(&newest()?, ["mod", "download"]), LONG)?;
    assert!(ran.succeeded(), "{ran:?}");
    let lookups = lab
        .requests()
        .iter()
        .filter(|request| request.host == host && request.path.starts_with(prefix))
        .count();
    assert_eq!(lookups, lab.modules().len());
    assert!(!std::fs::read_to_string(project.directory().join("go.sum"))?.is_empty());
    Ok(())
}

fn the_project_builds_and_runs() -> Outcome {
    let lab = started(Lab::builder().modules(Modules::many(4)))?;
    let project = lab.project()?;
    let ran = run(project.go(&newest()?, ["run", "."]), LONG)?;
    assert!(ran.succeeded(), "{ran:?}");
    // The modules' numbers, added up along their imports.
    assert_eq!(ran.stderr.lines().last(), Some("20"), "{ran:?}");
    Ok(())
}

fn connecting_takes_a_round_trip() -> Outcome {
    let round_trip = Duration::from_millis(80);
    let lab = started(Lab::builder().rtt(round_trip))?;
    for address in lab.host(PROXY).ok_or("no proxy")?.addresses(Families::Both) {
        let took = lab.on_client(|| {
            let began = Instant::now();
            std::net::TcpStream::connect((address, 443)).map(|_| began.elapsed())
        })??;
        assert!(took >= round_trip, "{took:?} over {address}");
    }
    Ok(())
}

fn lost_packets_are_sent_again() -> Outcome {
    let lab = started(Lab::builder().loss(0.03).seed(7))?;
    downloads(&lab, &[])
}

fn the_rate_limits() -> Outcome {
    let lab = started(Lab::builder().rate(Rate::mbit(2)))?;
    let began = Instant::now();
    downloads(&lab, &[])?;
    let bits = lab
        .requests()
        .iter()
        .map(|request| request.body_bytes * 8)
        .sum::<u64>();
    assert!(
        began.elapsed() >= Duration::from_micros(bits / 2),
        "{bits} bits in {:?}",
        began.elapsed()
    );
    Ok(())
}

fn two_labs_at_once_know_nothing_of_each_other() -> Outcome {
    let labs = [
        started(Lab::builder().modules(Modules::many(2)))?,
        started(Lab::builder().modules(Modules::many(5)))?,
    ];
    std::thread::scope(|scope| {
        let threads = labs
            .each_ref()
            .map(|lab| scope.spawn(|| downloads(lab, &[]).map_err(|error| error.to_string())));
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .map_err(|_| "a download panicked".to_owned())?
        })
    })?;
    for lab in &labs {
        assert_eq!(lab.requests().len(), lab.modules().len() * 3);
    }
    Ok(())
}

fn genuine_syn_acks_have_crossed_routers() -> Outcome {
    let lab = started(Lab::builder())?;
    let frames = crate::faults::frames_during(&lab, || downloads(&lab, &[]))?;
    let ttls = crate::faults::ttls_from_server(&frames, crate::faults::SYN_ACK);
    assert!(!ttls.is_empty());
    assert!(
        ttls.iter().all(|ttl| *ttl == gomod_lab::GENUINE_TTL),
        "{ttls:?}"
    );
    Ok(())
}

fn nameservers_answer_over_tcp_too() -> Outcome {
    let lab = started(Lab::builder())?;
    let host = lab.host(PROXY).ok_or("no proxy")?;
    // RFC 1035 section 4: one question, for the A record, with its length before it as TCP wants.
    let name = PROXY
        .split('.')
        .flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat())
        .collect::<Vec<_>>();
    let question = [
        &[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..],
        &name,
        &[0, 0, 1, 0, 1],
    ]
    .concat();
    for server in ["198.18.1.1:53", "[2001:2:0:1::1]:53"] {
        let answer = lab.on_client(|| {
            let mut stream = std::net::TcpStream::connect(server)?;
            stream.set_read_timeout(Some(LONG))?;
            stream.write_all(&[&(question.len() as u16).to_be_bytes()[..], &question].concat())?;
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut answer)?;
            Ok::<_, std::io::Error>(answer)
        })??;
        assert_eq!(answer[..2], [0x12, 0x34]);
        assert!(answer.ends_with(&host.v4.octets()), "{answer:?}");
    }
    assert!(
        lab.questions()
            .iter()
            .all(|question| question.tcp && question.kind == "A")
    );
    Ok(())
}
