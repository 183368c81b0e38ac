// SPDX-License-Identifier: MIT OR Apache-2.0
//! Quantities as people write them on a command line: `50ms`, `1%`, `100mbit`, `64k`.

use std::time::Duration;

/// How much the link carries in each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    bits_per_second: u64,
}

impl Rate {
    /// Thousands of bits a second.
    pub const fn kbit(kilobits: u64) -> Self {
        Self {
            bits_per_second: kilobits * 1000,
        }
    }

    /// Millions of bits a second.
    pub const fn mbit(megabits: u64) -> Self {
        Self::kbit(megabits * 1000)
    }

    /// How long a frame of `bytes` occupies the link.
    pub fn time_for(self, bytes: usize) -> Duration {
        Duration::from_nanos(
            (bytes as u64 * 8).saturating_mul(1_000_000_000) / self.bits_per_second.max(1),
        )
    }
}

/// Reads `50ms`, `2s`, `300us`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(text)?;
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "" if number == 0.0 => 0.0,
        _ => return Err(format!("{text:?} is not a duration such as 50ms or 2s")),
    };
    Duration::try_from_secs_f64(number * seconds).map_err(|error| format!("{text:?}: {error}"))
}

/// Reads `1%` or `0.01` as a share from 0 to 1.
pub fn parse_share(text: &str) -> Result<f64, String> {
    let (number, unit) = split_unit(text)?;
    let share = match unit {
        "%" => number / 100.0,
        "" => number,
        _ => return Err(format!("{text:?} is not a share such as 1% or 0.01")),
    };
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err(format!("{text:?} is not between 0 and 100%"))
    }
}

/// Reads `100mbit`, `512kbit`, `1gbit`.
pub fn parse_rate(text: &str) -> Result<Rate, String> {
    let (number, unit) = split_unit(text)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "kbit" => 1e3,
        "mbit" => 1e6,
        "gbit" => 1e9,
        _ => return Err(format!("{text:?} is not a rate such as 100mbit")),
    };
    if number * factor < 1.0 {
        return Err(format!("{text:?}: the link must carry something"));
    }
    Ok(Rate {
        bits_per_second: (number * factor) as u64,
    })
}

/// Reads `4096`, `64k`, `1m` as bytes.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split_unit(text)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" => 1.0,
        "k" | "kb" => 1024.0,
        "m" | "mb" => 1024.0 * 1024.0,
        _ => return Err(format!("{text:?} is not a size such as 4096, 64k or 1m")),
    };
    Ok((number * factor) as u64)
}

fn split_unit(text: &str) -> Result<(f64, &str), String> {
    let end = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number = number
        .parse()
        .map_err(|_| format!("{text:?} does not start with a number"))?;
    Ok((number, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_as_written() {
        assert_eq!(parse_duration("50ms"), Ok(Duration::from_millis(50)));
        assert_eq!(parse_duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(parse_share("1%"), Ok(0.01));
        assert_eq!(parse_rate("100mbit"), Ok(Rate::mbit(100)));
        assert_eq!(parse_bytes("64k"), Ok(65536));
    }

    #[test]
    fn nonsense_is_refused_with_the_text_quoted() {
        for refused in [
            parse_duration("fast").err(),
            parse_duration("5").err(),
            parse_share("200%").err(),
            parse_rate("0mbit").err(),
        ] {
            assert!(refused.is_some_and(|error| error.contains('"')));
        }
    }

    #[test]
    fn a_full_frame_takes_its_time() {
        assert_eq!(Rate::mbit(12).time_for(1500), Duration::from_millis(1));
    }
}
