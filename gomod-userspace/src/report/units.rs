// SPDX-License-Identifier: MIT OR Apache-2.0
//! Durations, sizes and counts as people read them.

use std::time::Duration;

/// A duration with about three digits: `420 µs`, `23 ms`, `12.3 s`, `2 min 05 s`, `1 h 02 min`.
pub fn duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    let tenths = (duration.as_millis() + 50) / 100;
    if micros < 1_000 {
        format!("{micros} µs")
    } else if micros < 9_950 {
        format!("{:.1} ms", micros as f64 / 1e3)
    } else if micros < 999_500 {
        format!("{} ms", (micros + 500) / 1_000)
    } else if tenths < 600 {
        format!("{}.{} s", tenths / 10, tenths % 10)
    } else {
        let seconds = (duration.as_millis() + 500) / 1_000;
        if seconds < 3_600 {
            format!("{} min {:02} s", seconds / 60, seconds % 60)
        } else {
            format!("{} h {:02} min", seconds / 3_600, seconds % 3_600 / 60)
        }
    }
}

/// A moment of a run, counted from its start: always in seconds below a minute, so that moments compare at a glance.
pub fn moment(since_start: Duration) -> String {
    if since_start < Duration::from_millis(59_950) {
        format!("{:.1} s", since_start.as_secs_f64())
    } else {
        duration(since_start)
    }
}

/// A wait that is still going on, in whole seconds: `12 s`, `2 min 05 s`.
pub fn age(waited: Duration) -> String {
    if waited < Duration::from_secs(60) {
        format!("{} s", waited.as_secs())
    } else {
        duration(Duration::from_secs(waited.as_secs()))
    }
}

/// The shorter form of a span: `12 ms`, or `12 ms – 23 ms` where the two differ as shown.
pub fn span(least: Duration, most: Duration) -> String {
    let (least, most) = (duration(least), duration(most));
    if least == most {
        return least;
    }
    match (least.split_once(' '), most.split_once(' ')) {
        (Some((number, unit)), Some((_, other))) if unit == other && !unit.contains(' ') => {
            format!("{number}–{most}")
        }
        _ => format!("{least} – {most}"),
    }
}

/// A size in binary units: `17 B`, `1.2 KiB`, `37 MiB`.
pub fn bytes(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while value >= 1023.5 {
        let Some(larger) = units.next() else { break };
        value /= 1024.0;
        unit = larger;
    }
    if value < 9.95 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// A transfer rate: `1.2 MiB/s`.
pub fn rate(bytes_per_second: f64) -> String {
    format!("{}/s", bytes(bytes_per_second.max(0.0).round() as u64))
}

/// A number with its thousands apart: `12,345`.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun: `1 query`, `6 queries`.
pub fn counted(count: usize, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        number(count as u64),
        if count == 1 { one } else { many }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_about_three_digits() {
        for (micros, text) in [
            (0, "0 µs"),
            (420, "420 µs"),
            (999, "999 µs"),
            (1_000, "1.0 ms"),
            (9_949, "9.9 ms"),
            (9_950, "10 ms"),
            (23_400, "23 ms"),
            (999_499, "999 ms"),
            (999_500, "1.0 s"),
            (12_340_000, "12.3 s"),
            (59_949_000, "59.9 s"),
            (59_950_000, "1 min 00 s"),
            (125_400_000, "2 min 05 s"),
            (3_599_600_000, "1 h 00 min"),
            (3_725_000_000, "1 h 02 min"),
        ] {
            assert_eq!(duration(Duration::from_micros(micros)), text, "{micros} µs");
        }
        assert!(duration(Duration::MAX).ends_with(" min"));
    }

    #[test]
    fn moments_are_seconds_from_the_start() {
        assert_eq!(moment(Duration::from_millis(40)), "0.0 s");
        assert_eq!(moment(Duration::from_millis(12_340)), "12.3 s");
        assert_eq!(moment(Duration::from_secs(61)), "1 min 01 s");
    }

    #[test]
    fn ages_are_whole_seconds() {
        assert_eq!(age(Duration::from_millis(12_900)), "12 s");
        assert_eq!(age(Duration::from_millis(125_900)), "2 min 05 s");
    }

    #[test]
    fn spans_name_their_unit_once() {
        let ms = Duration::from_millis;
        assert_eq!(span(ms(12), ms(12)), "12 ms");
        assert_eq!(span(ms(12), ms(40)), "12–40 ms");
        assert_eq!(span(ms(900), ms(1_200)), "900 ms – 1.2 s");
        assert_eq!(span(ms(61_000), ms(125_000)), "1 min 01 s – 2 min 05 s");
    }

    #[test]
    fn sizes_change_their_unit_in_time() {
        for (size, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_531, "1.5 KiB"),
            (10_240, "10 KiB"),
            (1_048_063, "1023 KiB"),
            (1_048_575, "1.0 MiB"),
            (38_797_312, "37 MiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(bytes(size), text, "{size}");
        }
        assert_eq!(rate(1_258_291.2), "1.2 MiB/s");
        assert_eq!(rate(f64::NAN), "0 B/s");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(12_345), "12,345");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(counted(1, "query", "queries"), "1 query");
        assert_eq!(counted(1_000, "query", "queries"), "1,000 queries");
    }
}
