//! The time zone of shown and typed times.

use jiff::tz::TimeZone;

use crate::event::Timestamp;

/// The zone of shown and typed times: UTC, as in recordings, or the machine's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Zone(TimeZone);

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl Zone {
    /// Toggles between UTC and the machine's own zone; returns the message.
    pub(super) fn turn(&mut self) -> String {
        if self.0 == TimeZone::UTC {
            self.0 = TimeZone::system();
            let name = self.0.iana_name().unwrap_or("this machine's time zone");
            format!("times are {name}")
        } else {
            self.0 = TimeZone::UTC;
            "times are UTC".to_owned()
        }
    }

    /// A time, as `strftime` writes it.
    pub(super) fn write(&self, at: Timestamp, format: &str) -> String {
        let at = at.to_jiff().to_zoned_datetime(self.0.clone());
        at.strftime(format).to_string()
    }

    /// Suffix of a time: `Z`, or the zone's short name.
    fn suffix(&self, at: Timestamp) -> String {
        if self.0 == TimeZone::UTC {
            "Z".to_owned()
        } else {
            self.write(at, " %Z")
        }
    }

    /// A time of day, to the second.
    pub(super) fn clock(&self, at: Timestamp) -> String {
        self.write(at, "%H:%M:%S") + &self.suffix(at)
    }

    /// A date and time, to the millisecond.
    pub(super) fn exact(&self, at: Timestamp) -> String {
        self.write(at, "%F %T%.3f") + &self.suffix(at)
    }

    /// The latest moment not after `end` at that time of day.
    pub(super) fn latest(&self, time: jiff::civil::Time, end: Timestamp) -> Option<Timestamp> {
        let end = end.to_jiff();
        let mut date = self.0.to_datetime(end).date();
        // A day may lack that time of day; then the day before is used.
        for _ in 0..3 {
            let at = self.0.to_timestamp(date.to_datetime(time)).ok()?;
            if at <= end {
                let nanoseconds = at.as_nanosecond();
                return Some(Timestamp(i64::try_from(nanoseconds).ok()?));
            }
            date = date.yesterday().ok()?;
        }
        None
    }
}
