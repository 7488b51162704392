//! Points in time: UTC, nanoseconds.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Nanoseconds since 1970-01-01T00:00:00Z; RFC 3339 with nine decimals in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Time of day, UTC, to the second.
    #[must_use]
    pub(crate) fn clock(self) -> String {
        self.to_jiff().strftime("%H:%M:%S").to_string()
    }

    /// Time from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This time moved forward by `by`, saturating.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX)),
        )
    }

    /// This time moved back by `by`, saturating.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX)),
        )
    }

    /// Seconds since the epoch, rounded down.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// The same instant as a `jiff` timestamp, for formatting.
    #[must_use]
    pub fn to_jiff(self) -> jiff::Timestamp {
        // Every i64 of nanoseconds (years 1677 to 2262) is inside jiff's range.
        jiff::Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    /// Reads RFC 3339, as engines and recordings write it.
    ///
    /// # Errors
    /// When `text` is no RFC 3339 instant or is outside the range of 64-bit nanoseconds.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(instant) = Self::from_own_form(text.as_bytes()) {
            return Ok(instant);
        }
        let instant: jiff::Timestamp = text.parse().map_err(|e| format!("{e}"))?;
        i64::try_from(instant.as_nanosecond())
            .map(Self)
            .map_err(|_| format!("time out of range: {text}"))
    }
}

impl Timestamp {
    /// The form in recordings, `2026-01-31T12:00:00.000000000Z`, of which they have millions.
    pub(super) fn from_own_form(text: &[u8]) -> Option<Self> {
        const FORM: &[u8; 30] = b"dddd-dd-ddTdd:dd:dd.dddddddddZ";
        let text: &[u8; 30] = text.try_into().ok()?;
        let fits = |(have, want): (&u8, &u8)| match want {
            b'd' => have.is_ascii_digit(),
            want => have == want,
        };
        if !text.iter().zip(FORM).all(fits) {
            return None;
        }
        let number = |from: usize, to: usize| {
            let digits = text.get(from..to).unwrap_or_default();
            digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0'))
        };
        let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
        let (hour, minute, second) = (number(11, 13), number(14, 16), number(17, 19));
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let longest = match month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        // Leap seconds and years far away are left to the library.
        let plain = (1970..2200).contains(&year)
            && (1..=12).contains(&month)
            && (1..=longest).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        if !plain {
            return None;
        }
        // Days since 1970-01-01, the year beginning in March.
        let shifted = if month > 2 { year } else { year - 1 };
        let (century, of_century) = (shifted / 400, shifted % 400);
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let of_era = of_century * 365 + of_century / 4 - of_century / 100 + of_year;
        let days = century * 146_097 + of_era - 719_468;
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
        Some(Self(seconds * 1_000_000_000 + number(20, 29)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.9}", self.to_jiff())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_with_nanoseconds() {
        let t = Timestamp(1_795_442_607_000_000_042);
        assert_eq!(Timestamp::parse(&t.to_string()).unwrap(), t);
        assert!(t.to_string().ends_with(".000000042Z"));
    }

    #[test]
    fn the_own_form_is_read_as_the_library_reads_it() {
        for day in 0..84_000_i64 {
            let t = Timestamp((day * 86_400 + day % 86_400) * 1_000_000_000 + day);
            let text = t.to_string();
            let read = Timestamp::from_own_form(text.as_bytes());
            let expected = text.parse::<jiff::Timestamp>().unwrap().as_nanosecond();
            assert_eq!(read.map(|r| i128::from(r.0)), Some(expected), "{text}");
        }
        for text in [
            "2026-02-29T00:00:00.000000000Z",
            "2100-02-29T00:00:00.000000000Z",
            "2026-04-31T00:00:00.000000000Z",
            "2026-01-01T24:00:00.000000000Z",
            "2026-00-01T00:00:00.000000000Z",
            "2026-01-01 00:00:00.000000000Z",
        ] {
            assert!(
                Timestamp::from_own_form(text.as_bytes()).is_none(),
                "{text}"
            );
        }
    }
}
