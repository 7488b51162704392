//! Reads a policy file. An error refuses the whole file and names the line.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;

use super::content::Read;
use super::pattern;
use crate::detect::rules;
use crate::event::{
    AgeLimit, Allow, PathAdditions, Policy, ProgramAdditions, Scope, Severity, Silence, Timestamp,
};

/// Why a policy was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct PolicyError {
    /// Line in the file, from 1.
    pub line: usize,
    /// The problem.
    pub message: String,
}

type SpannedText = toml::Spanned<String>;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct RawPolicy {
    max_age: Option<SpannedText>,
    startup_grace: Option<SpannedText>,
    sensitive: Vec<SpannedText>,
    paths: RawPaths,
    programs: RawPrograms,
    severity: BTreeMap<SpannedText, SpannedText>,
    age: Vec<toml::Spanned<RawAge>>,
    allow: Vec<toml::Spanned<RawAllow>>,
    silence: Vec<RawSilence>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct RawPaths {
    sensitive: Vec<SpannedText>,
    program: Vec<SpannedText>,
    config: Vec<SpannedText>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct RawPrograms {
    shell: Vec<SpannedText>,
    interpreter: Vec<SpannedText>,
    builder: Vec<SpannedText>,
    package_manager: Vec<SpannedText>,
    downloader: Vec<SpannedText>,
    wrapper: Vec<SpannedText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAge {
    max: SpannedText,
    digest: Option<SpannedText>,
    image: Option<SpannedText>,
    container: Option<SpannedText>,
    pod: Option<SpannedText>,
    namespace: Option<SpannedText>,
    #[serde(default)]
    label: BTreeMap<String, SpannedText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAllow {
    #[serde(default)]
    listen: Vec<toml::Spanned<u16>>,
    #[serde(default)]
    connect: Vec<SpannedText>,
    digest: Option<SpannedText>,
    image: Option<SpannedText>,
    container: Option<SpannedText>,
    pod: Option<SpannedText>,
    namespace: Option<SpannedText>,
    #[serde(default)]
    label: BTreeMap<String, SpannedText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSilence {
    rule: SpannedText,
    subject: Option<toml::Spanned<toml::Value>>,
    exe: Option<SpannedText>,
    parent: Option<SpannedText>,
    sha256: Option<SpannedText>,
    digest: Option<SpannedText>,
    image: Option<SpannedText>,
    container: Option<SpannedText>,
    pod: Option<SpannedText>,
    namespace: Option<SpannedText>,
    #[serde(default)]
    label: BTreeMap<String, SpannedText>,
    reason: SpannedText,
    expires: Option<toml::Spanned<toml::Value>>,
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// When it is not TOML, names a key, rule, severity or time that does not exist, or leaves
    /// out what must be there: with the line.
    pub fn parse(text: &str) -> Result<Read, PolicyError> {
        let file = PolicyDocument { text };
        let raw: RawPolicy = toml::from_str(text)
            .map_err(|e| file.wrong(e.span().unwrap_or_default(), e.message().to_owned()))?;
        let mut policy = Self {
            sensitive: file.paths(raw.sensitive.into_iter().chain(raw.paths.sensitive))?,
            paths: PathAdditions {
                program: file.paths(raw.paths.program)?,
                config: file.paths(raw.paths.config)?,
            },
            programs: ProgramAdditions {
                shell: file.programs(raw.programs.shell)?,
                interpreter: file.programs(raw.programs.interpreter)?,
                builder: file.programs(raw.programs.builder)?,
                package_manager: file.programs(raw.programs.package_manager)?,
                downloader: file.programs(raw.programs.downloader)?,
                wrapper: file.programs(raw.programs.wrapper)?,
            },
            ..Self::default()
        };
        for (rule, severity) in &raw.severity {
            policy
                .severity
                .insert(file.rule(rule)?, file.severity(severity)?);
        }
        for age in raw.age {
            let age = age.into_inner();
            policy.age.push(AgeLimit {
                max: file.limit(&age.max)?,
                scope: file.scope(
                    [age.digest, age.image, age.container, age.pod, age.namespace],
                    age.label,
                )?,
            });
        }
        for allow in raw.allow {
            policy.allow.push(file.allow(allow)?);
        }
        for silence in raw.silence {
            policy.silence.push(file.silence(silence)?);
        }
        Ok(Read {
            policy,
            max_age: raw.max_age.as_ref().map(|t| file.limit(t)).transpose()?,
            startup_grace: raw
                .startup_grace
                .as_ref()
                .map(|t| file.duration(t))
                .transpose()?,
        })
    }
}

/// The text of the file, for line numbers in errors.
struct PolicyDocument<'t> {
    text: &'t str,
}

impl PolicyDocument<'_> {
    fn wrong(&self, span: Range<usize>, message: String) -> PolicyError {
        let before = self.text.get(..span.start).unwrap_or_default();
        PolicyError {
            line: before.matches('\n').count() + 1,
            message,
        }
    }

    /// Patterns of absolute paths.
    fn paths(
        &self,
        given: impl IntoIterator<Item = SpannedText>,
    ) -> Result<Vec<String>, PolicyError> {
        let absolute = |path: SpannedText| {
            if path.get_ref().starts_with(['/', '*', '?']) {
                return Ok(path.into_inner());
            }
            let message = format!("{:?} is not an absolute path", path.get_ref());
            Err(self.wrong(path.span(), message))
        };
        given.into_iter().map(absolute).collect()
    }

    /// Names of programs, without a directory.
    fn programs(&self, given: Vec<SpannedText>) -> Result<Vec<String>, PolicyError> {
        let name = |name: SpannedText| {
            let text = name.get_ref();
            if !text.is_empty() && !text.contains(['/', '*', '?']) {
                return Ok(name.into_inner());
            }
            let message =
                format!("{text:?} is not a program name; leave out directories and patterns");
            Err(self.wrong(name.span(), message))
        };
        given.into_iter().map(name).collect()
    }

    fn duration(&self, text: &SpannedText) -> Result<Duration, PolicyError> {
        humantime::parse_duration(text.get_ref())
            .map_err(|e| self.wrong(text.span(), format!("{:?}: {e}", text.get_ref())))
    }

    /// A duration, `none` or `off`.
    fn limit(&self, text: &SpannedText) -> Result<Option<Duration>, PolicyError> {
        match text.get_ref().as_str() {
            "none" | "off" => Ok(None),
            _ => self.duration(text).map(Some),
        }
    }

    fn severity(&self, text: &SpannedText) -> Result<Option<Severity>, PolicyError> {
        match text.get_ref().as_str() {
            "off" => Ok(None),
            name => match name.parse() {
                Ok(severity) => Ok(Some(severity)),
                Err(e) => Err(self.wrong(text.span(), format!("{e}, or \"off\""))),
            },
        }
    }

    fn rule(&self, rule: &SpannedText) -> Result<String, PolicyError> {
        let id = rule.get_ref();
        if rules::info(id).is_some() {
            return Ok(id.clone());
        }
        let near = rules::catalogue()
            .iter()
            .map(|r| r.id)
            .min_by_key(|r| distance(r, id))
            .unwrap_or_default();
        let message = format!("no rule {id:?}; the nearest is {near:?}");
        Err(self.wrong(rule.span(), message))
    }

    /// A pattern, refused when empty.
    fn pattern(&self, text: Option<SpannedText>) -> Result<Option<String>, PolicyError> {
        match text {
            Some(text) if text.get_ref().is_empty() => {
                Err(self.wrong(text.span(), "an empty pattern matches nothing".to_owned()))
            }
            text => Ok(text.map(SpannedText::into_inner)),
        }
    }

    /// One pattern or an array of patterns.
    fn patterns(
        &self,
        given: Option<toml::Spanned<toml::Value>>,
    ) -> Result<Vec<String>, PolicyError> {
        let Some(given) = given else {
            return Ok(Vec::new());
        };
        let span = given.span();
        let all = match given.into_inner() {
            toml::Value::Array(all) => all,
            one => vec![one],
        };
        let pattern = |value| match value {
            toml::Value::String(text) if !text.is_empty() => Ok(text),
            toml::Value::String(_) => Err("an empty pattern matches nothing"),
            _ => Err("write \"pattern\" or [\"pattern\", \"pattern\"]"),
        };
        all.into_iter()
            .map(|value| pattern(value).map_err(|why| self.wrong(span.clone(), why.to_owned())))
            .collect()
    }

    fn scope(
        &self,
        [digest, image, container, pod, namespace]: [Option<SpannedText>; 5],
        label: BTreeMap<String, SpannedText>,
    ) -> Result<Scope, PolicyError> {
        if let Some(d) = &digest {
            self.hexadecimal(d)?;
        }
        Ok(Scope {
            digest: self.pattern(digest)?,
            image: self.pattern(image)?,
            container: self.pattern(container)?,
            pod: self.pattern(pod)?,
            namespace: self.pattern(namespace)?,
            label: label
                .into_iter()
                .map(|(key, value)| (key, value.into_inner()))
                .collect(),
        })
    }

    /// Checks a SHA-256 or its beginning.
    fn hexadecimal(&self, text: &SpannedText) -> Result<(), PolicyError> {
        let t = text.get_ref();
        let bare = t
            .rsplit_once("sha256:")
            .map_or(t.as_str(), |(_, digits)| digits);
        if (8..=64).contains(&bare.len()) && bare.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(());
        }
        let message = format!("{t:?} is not a SHA-256 of 8 to 64 hexadecimal digits");
        Err(self.wrong(text.span(), message))
    }

    fn allow(&self, raw: toml::Spanned<RawAllow>) -> Result<Allow, PolicyError> {
        let span = raw.span();
        let raw = raw.into_inner();
        if raw.listen.is_empty() && raw.connect.is_empty() {
            let message = "it allows nothing: give listen or connect".to_owned();
            return Err(self.wrong(span, message));
        }
        for to in &raw.connect {
            let text = to.get_ref();
            if text.is_empty() || (text.contains('/') && pattern::network(text).is_none()) {
                return Err(self.wrong(to.span(), format!("{text:?} is not a network")));
            }
        }
        if let Some(zero) = raw.listen.iter().find(|port| *port.get_ref() == 0) {
            return Err(self.wrong(zero.span(), "0 is not a port".to_owned()));
        }
        Ok(Allow {
            listen: raw
                .listen
                .into_iter()
                .map(toml::Spanned::into_inner)
                .collect(),
            connect: raw
                .connect
                .into_iter()
                .map(SpannedText::into_inner)
                .collect(),
            scope: self.scope(
                [raw.digest, raw.image, raw.container, raw.pod, raw.namespace],
                raw.label,
            )?,
        })
    }

    fn silence(&self, raw: RawSilence) -> Result<Silence, PolicyError> {
        let family = raw.rule.get_ref().strip_suffix(".*");
        let exists = |family: &str| {
            rules::catalogue()
                .iter()
                .any(|r| r.id.split('.').next() == Some(family))
        };
        let rule = if family.is_some_and(exists) {
            raw.rule.into_inner()
        } else {
            self.rule(&raw.rule)?
        };
        if raw.reason.get_ref().trim().is_empty() {
            return Err(self.wrong(raw.reason.span(), "a silence needs a reason".to_owned()));
        }
        if let Some(hash) = &raw.sha256 {
            self.hexadecimal(hash)?;
        }
        Ok(Silence {
            rule,
            subject: self.patterns(raw.subject)?,
            exe: self.pattern(raw.exe)?,
            parent: self.pattern(raw.parent)?,
            sha256: raw.sha256.map(SpannedText::into_inner),
            scope: self.scope(
                [raw.digest, raw.image, raw.container, raw.pod, raw.namespace],
                raw.label,
            )?,
            reason: raw.reason.into_inner(),
            expires: raw.expires.map(|e| self.instant(&e)).transpose()?,
        })
    }

    /// A day, or an RFC 3339 instant; in quotes or not.
    fn instant(&self, value: &toml::Spanned<toml::Value>) -> Result<Timestamp, PolicyError> {
        let text = match value.get_ref() {
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let whole = if text.len() == 10 {
            format!("{text}T00:00:00Z")
        } else {
            text.clone()
        };
        Timestamp::parse(&whole).map_err(|_| {
            let message = format!("{text:?} is not a date; write \"2026-12-31\"");
            self.wrong(value.span(), message)
        })
    }
}

/// Edit distance, for "did you mean".
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (place, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let above = *place;
            left = (diagonal + usize::from(x != y))
                .min(above + 1)
                .min(left + 1);
            diagonal = above;
            *place = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_may_be_a_day_or_an_instant() {
        let ends = |value: &str| {
            let text = format!("[[silence]]\nrule = \"file.*\"\nreason = \"x\"\nexpires = {value}");
            Policy::parse(&text).unwrap().policy.silence[0]
                .expires
                .unwrap()
        };
        assert_eq!(ends("\"2026-12-31\""), ends("2026-12-31"));
        assert_eq!(ends("2026-12-31"), ends("\"2026-12-31T01:00:00+01:00\""));
    }

    #[test]
    fn errors_name_their_line() {
        for (text, line, part) in [
            ("max-age = \"30d\"\nmax-aeg = 1\n", 2, "max-aeg"),
            ("max-age = \"soon\"", 1, "soon"),
            ("\n[severity]\n\"file.cron\" = \"bad\"", 3, "off"),
            ("[severity]\n\"file.corn\" = \"low\"", 2, "file.cron"),
            ("[[silence]]\nrule = \"file.cron\"\n", 1, "reason"),
            (
                "[[silence]]\nrule = \"file.cron\"\nreason = \" \"",
                3,
                "reason",
            ),
            ("[[silence]]\nrule = \"no.*\"\nreason = \"x\"", 2, "no rule"),
            (
                "[[silence]]\nrule = \"file.*\"\nreason = \"x\"\nexpires = \"2026-13-01\"",
                4,
                "date",
            ),
            ("[[allow]]\nconnect = [\"10.0.0.0/99\"]", 2, "network"),
            ("a = [", 1, ""),
            ("sensitive = [\n\"srv/keys\"]", 2, "absolute"),
            ("[paths]\nprogram = [\"opt/x\"]", 2, "absolute"),
            ("[paths]\nprograms = []", 2, "programs"),
            ("[programs]\nshell = [\"a\",\n\"/bin/b\"]", 3, "directories"),
            ("[programs]\nshells = [\"a\"]", 2, "shells"),
            ("[[allow]]\nimage = \"web\"", 1, "nothing"),
            ("[[allow]]\nlisten = [80,\n0]", 3, "port"),
            ("[[allow]]\nlisten = [80,\n70000]", 3, "u16"),
            ("[[age]]\nmax = \"1d\"\nimage = \"\"", 3, "empty"),
            ("[[age]]\nmax = \"1d\"\ndigest = \"latest\"", 3, "SHA-256"),
            ("[[age]]\nmax = \"1d\"\nimages = \"x\"", 3, "images"),
            (
                "[[silence]]\nrule = \"file.*\"\nreason = \"x\"\nexpires = 7",
                4,
                "date",
            ),
        ] {
            let error = Policy::parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(error.message.contains(part), "{text}: {error}");
        }
    }
}
