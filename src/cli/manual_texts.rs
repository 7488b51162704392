//! Texts of the manual pages besides the options: examples, exit codes, files, environment.

/// A command line of an example.
pub(super) struct Example {
    /// The command it belongs to, as words.
    pub(super) command: &'static str,
    /// The command line.
    pub(super) line: &'static str,
    /// Its effect.
    pub(super) meaning: &'static str,
}

const fn example(command: &'static str, line: &'static str, meaning: &'static str) -> Example {
    Example {
        command,
        line,
        meaning,
    }
}

/// Examples of every command.
#[rustfmt::skip]
pub(super) const EXAMPLES: &[Example] = &[
    example("hullwatch", "sudo hullwatch", "Show this host on the screen."),
    example("hullwatch", "hullwatch --ssh ann@example.com --bps 2400", "Show another host, over a slow link."),
    example("hullwatch", "hullwatch demo", "Show a recorded break-in; needs no rights."),
    example("hullwatch watch", "sudo hullwatch watch --min-severity high --exit-code --duration \
                                10m", "Exit with 1 when something serious happens within ten minutes."),
    example("hullwatch watch", "sudo hullwatch watch --events exec --container web | jq -r \
                                '.argv | join(\" \")'", "Print the command lines of a container."),
    example("hullwatch watch", "sudo hullwatch watch --notify high --notify-webhook-file \
                                /etc/hullwatch/slack --notify-format slack", "Report serious incidents to a Slack channel; the file holds the URL."),
    example("hullwatch watch", "sudo hullwatch watch --otlp http://localhost:4318 --metrics \
                                127.0.0.1:9469", "Send findings to a collector, and serve metrics to Prometheus."),
    example("hullwatch record", "sudo hullwatch record --ring /var/lib/hullwatch --otlp \
                                http://localhost:4318 --otlp-metrics 60s", "Send findings and, each minute, metrics to a collector."),
    example("hullwatch watch", "sudo hullwatch watch --notify-command 'mail -s hullwatch \
                                ops@example.com'", "Mail serious incidents."),
    example("hullwatch list", "sudo hullwatch list findings --filter 'sev>=h' --json", "Print the serious findings, one JSON object a line."),
    example("hullwatch record", "sudo hullwatch record --detach incident.jsonl.zst", "Record in the background."),
    example("hullwatch record", "sudo hullwatch record --ring /var/lib/hullwatch --keep 48h --pin high", "Keep the last two days, and segments with serious findings for longer."),
    example("hullwatch record", "sudo hullwatch record --ring /var/lib/hullwatch --publish \
                                tls://nats.example.com:4222 --publish-credentials /etc/hullwatch/nats", "Record the last hours, and publish them for hullwatch fleet."),
    example("hullwatch fleet", "hullwatch fleet tls://nats.example.com:4222 --credentials ~/nats.creds", "Show all hosts that publish there."),
    example("hullwatch fleet", "hullwatch fleet nats://localhost:4222 --host web-1 --since 6h --save web-1.jsonl.zst", "Save what the server keeps of a host since six hours ago."),
    example("hullwatch ring list", "hullwatch ring list /var/lib/hullwatch", "List the recorded segments."),
    example("hullwatch replay", "hullwatch replay /var/lib/hullwatch --at -2h", "Show what happened two hours ago."),
    example("hullwatch list", "hullwatch list findings --recording /var/lib/hullwatch --since \
                               -1h", "List the findings of the last hour, including those of ended runs."),
    example("hullwatch report", "hullwatch report /var/lib/hullwatch --since -24h", "Report the incidents of the last day."),
    example("hullwatch learn", "hullwatch learn web --recording /var/lib/hullwatch --until -1d", "Learn from the recording until yesterday."),
    example("hullwatch diff", "hullwatch diff /var/lib/hullwatch@web /var/lib/hullwatch@web \
                               --until -1h --since -1h", "Show what a container did in the last hour and not before."),
    example("hullwatch attach", "hullwatch attach", "Show the running recording."),
    example("hullwatch stop", "sudo hullwatch stop", "End the running recording."),
    example("hullwatch replay", "hullwatch replay incident.jsonl.zst --findings", "Check a recording, and print its findings."),
    example("hullwatch report", "hullwatch report incident.jsonl.zst --format html > report.html", "Write a report about the incidents of a recording."),
    example("hullwatch demo", "hullwatch demo --play", "Play the recorded break-in from its beginning."),
    example("hullwatch drift", "sudo hullwatch drift web --diff", "Show how a container's files differ from its image."),
    example("hullwatch learn", "sudo hullwatch learn web --until-ready", "Learn the normal behavior of a container, into web.baseline.toml."),
    example("hullwatch baseline", "hullwatch baseline show web.baseline.toml", "Show the learned items."),
    example("hullwatch diff", "hullwatch diff before.baseline.toml after.baseline.toml --exit-code", "Compare two releases; exit with 1 when the second does something new."),
    example("hullwatch harden", "hullwatch harden web.baseline.toml --format compose", "Suggest settings, for a compose file."),
    example("hullwatch posture", "sudo hullwatch posture --fail-on high --exit-code", "Check how containers were started."),
    example("hullwatch rules", "hullwatch rules drift.exec-new", "Explain a rule."),
    example("hullwatch policy init", "hullwatch policy init", "Write a starter policy file."),
    example("hullwatch policy check", "hullwatch policy check /etc/hullwatch/policy.toml", "Check a policy file."),
    example("hullwatch config init", "hullwatch config init", "Write a starter configuration."),
    example("hullwatch theme list", "hullwatch theme list", "List the themes."),
    example("hullwatch keys", "hullwatch keys", "List the keys of the screen."),
    example("hullwatch doctor", "sudo hullwatch doctor", "Check this host, and say how to fix what is missing."),
    example("hullwatch selftest", "sudo hullwatch selftest", "Check that every kind of event is captured."),
    example("hullwatch completions", "hullwatch completions bash > \
                                      /etc/bash_completion.d/hullwatch", "Install completions for bash."),
    example("hullwatch man", "hullwatch man --directory /usr/local/share/man/man1", "Install the manual pages."),
];

/// Exit codes.
pub(super) const EXIT_STATUS: &[(&str, &str)] = &[
    ("0", "Done."),
    (
        "1",
        "A finding or a difference, with --exit-code; a host that cannot be watched; a replay \
         that differs from its recording.",
    ),
    (
        "2",
        "Bad usage, bad input, missing rights, or (watch --exit-code) nothing found although events \
         were lost.",
    ),
];

/// Files.
pub(super) const FILES: &[(&str, &str)] = &[
    (
        "$XDG_CONFIG_HOME/hullwatch/config.toml",
        "Keys and screen. XDG_CONFIG_HOME is ~/.config by default; under sudo, that of the calling \
         user. The systemd unit and the container image set it to /etc.",
    ),
    (
        "$XDG_CONFIG_HOME/hullwatch/policy.toml",
        "Policy of this host: silences, allowances, severities.",
    ),
    (
        "$XDG_CONFIG_HOME/hullwatch/baselines/",
        "Baselines that containers are compared with.",
    ),
    ("$XDG_CONFIG_HOME/hullwatch/themes/", "Themes."),
    (
        "$XDG_STATE_HOME/hullwatch/",
        "Saved views of recordings, and the log of a screen.",
    ),
];

/// Environment variables.
pub(super) const ENVIRONMENT: &[(&str, &str)] = &[
    ("DOCKER_HOST", "Address of the Docker engine."),
    (
        "HULLWATCH_SSH",
        "Program for --ssh instead of ssh, with the same arguments.",
    ),
    ("HULLWATCH_THEME", "Theme of the screen."),
    (
        "HULLWATCH_LOG",
        "Level of the log, e.g. debug; off by default.",
    ),
    ("HULLWATCH_LOG_FILE", "File of the log instead of stderr."),
    ("NO_COLOR", "No colours when set."),
];
