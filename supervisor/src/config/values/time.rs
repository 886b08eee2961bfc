//! Times in options: a whole number with a unit, such as 90m.

use std::time::Duration;

/// The longest time an option may name: longer than any session lasts.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A whole number with a unit.
pub(super) fn read(text: &str) -> Option<Duration> {
    let (at, unit) = text.char_indices().next_back()?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return None,
    };
    // `parse` would accept a sign.
    let number =
        text.get(..at).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let time = Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?);
    (!time.is_zero() && time <= LONGEST).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_a_number_with_a_unit_and_nothing_else() {
        for (text, seconds) in [("1s", 1), ("90m", 5400), ("24h", 86_400), ("366d", 31_622_400)] {
            assert_eq!(read(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "s", "5", "0s", "-1s", "+1s", "1.5h", "1 h", "367d", "1w", "5\u{b5}"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read("99999999999999999999d"), None);
        assert_eq!(read("18446744073709551615d"), None);
    }
}
