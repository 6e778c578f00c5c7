//! Shares on the command line: `5%` or `0.05`.
//!
//! A plain `5` is most likely meant as five percent and would be read as five hundred, so it is refused with what to write.

/// A share of a whole, 0 to 1: `5%`, `0.05`, `100%` or `1`.
///
/// # Errors
/// A sentence for what is none, with what to write instead.
pub fn of_whole(text: &str) -> Result<f64, String> {
    let share = read(text, 1.0)?;
    if share <= 1.0 { Ok(share) } else { Err(format!("{} is more than all of it: 100% or 1 at most", text.trim())) }
}

/// By how much something may grow, from nothing to tenfold: `5%`, `0.05`, `100%`; from 1 on only with `%`.
///
/// # Errors
/// As [`of_whole`].
pub fn of_growth(text: &str) -> Result<f64, String> {
    // 1 is as likely to be one percent as a doubling.
    let share = read(text, 1.0 - f64::EPSILON)?;
    if share <= 10.0 { Ok(share) } else { Err(format!("{} is more than 1000%", text.trim())) }
}

/// Reads a number, with `%` or without; without at most `plain`.
fn read(text: &str, plain: f64) -> Result<f64, String> {
    let (digits, unit) = text.trim().strip_suffix('%').map_or((text.trim(), 1.0), |digits| (digits.trim(), 100.0));
    let none = || format!("{text:?} is no share: write it like 5% or 0.05");
    let number: f64 = digits.parse().map_err(|_| none())?;
    if !number.is_finite() || number < 0.0 {
        return Err(none());
    }
    if unit == 1.0 && number > plain {
        return Err(format!("{digits} would be {}%: write {digits}% or {}", number * 100.0, number / 100.0));
    }
    Ok(number / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Percents and plain shares are read alike, to the same value.
    #[test]
    fn percents_and_plain_shares_are_read_alike() {
        for read in [of_whole, of_growth] {
            assert_eq!(read("5%"), Ok(0.05));
            assert_eq!(read("0.05"), Ok(0.05));
            assert_eq!(read("100%"), Ok(1.0));
            assert_eq!(read(" 7.5 %").map(|share| (share * 1e6).round()), Ok(75_000.0));
            assert_eq!(read("0"), Ok(0.0));
        }
        assert_eq!(of_whole("1"), Ok(1.0));
        assert_eq!(of_growth("250%"), Ok(2.5));
    }

    /// A percentage without its sign is refused with what to write, whatever else is no share with how one looks.
    #[test]
    fn a_forgotten_percent_sign_is_named() {
        for (seen, wanted) in [("5", "write 5% or 0.05"), ("1.5", "write 1.5% or 0.015"), ("100", "write 100% or 1")] {
            for read in [of_whole, of_growth] {
                let said = read(seen).unwrap_err();
                assert!(said.contains(wanted), "{seen}: {said}");
            }
        }
        assert!(of_growth("1").unwrap_err().contains("write 1% or 0.01"));
        assert!(of_whole("101%").unwrap_err().contains("more than all of it"));
        assert!(of_growth("2000%").unwrap_err().contains("more than 1000%"));
        for wrong in ["", "%", "five", "-1%", "-0.1", "NaN", "inf", "5%%"] {
            assert!(of_whole(wrong).is_err() && of_growth(wrong).is_err(), "{wrong}");
        }
    }
}
