//! `hullwatch man`: the manual pages.

use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::CliError;
use super::manual_texts::{ENVIRONMENT, EXAMPLES, EXIT_STATUS, FILES};
use crate::user_files;

/// Print the manual page, or write one for each command
///
/// For example: hullwatch man | man -l -
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write hullwatch.1, hullwatch-watch.1, … into this directory, creating it if needed
    #[arg(long, value_name = "DIR")]
    directory: Option<std::path::PathBuf>,
}

pub(super) fn run(args: &Args, command: clap::Command) -> Result<ExitCode, CliError> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    if let Some(directory) = &args.directory {
        let to = directory.clone();
        user_files::with_rights(move || {
            std::fs::create_dir_all(&to)?;
            let mut made = Vec::new();
            pages(&command, &mut made)?;
            made.iter()
                .try_for_each(|(name, page)| std::fs::write(to.join(name), page))
        })
        .map_err(|error| {
            let why = match error.kind() {
                ErrorKind::AlreadyExists => "is not a directory".to_owned(),
                _ => format!("the manual pages cannot be written: {error}"),
            };
            CliError::expected(format!("{}: {why}", directory.display()))
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    std::io::stdout().write_all(&page(&command)?)?;
    Ok(ExitCode::SUCCESS)
}

/// File name and text of the page of a command and of every command below it.
fn pages(command: &clap::Command, into: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    for below in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        pages(below, into)?;
    }
    into.push((Man::new(command.clone()).get_filename(), page(command)?));
    Ok(())
}

fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if command.get_arguments().any(|one| !one.is_hide_set()) {
        man.render_options_section(&mut page)?;
    }
    let main = command.get_display_name().unwrap_or(command.get_name()) == "hullwatch";
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let name = command.get_display_name().unwrap_or(command.get_name());
    let words = name.replace('-', " ");
    let mut more = Roff::new();
    let examples: Vec<_> = EXAMPLES.iter().filter(|one| one.command == words).collect();
    if !examples.is_empty() {
        more.control("SH", ["EXAMPLES"]);
        for one in examples {
            more.control("TP", []);
            more.text([bold(one.line)]);
            more.text([roman(one.meaning)]);
        }
    }
    more.control("SH", ["EXIT STATUS"]);
    table(&mut more, EXIT_STATUS);
    more.control("SH", ["FILES"]);
    table(&mut more, FILES);
    if main {
        more.control("SH", ["ENVIRONMENT"]);
        table(&mut more, ENVIRONMENT);
    } else {
        more.control("SH", ["SEE ALSO"]);
        more.text([bold("hullwatch"), roman("(1)")]);
    }
    more.to_writer(&mut page)?;
    Ok(page)
}

fn table(roff: &mut Roff, rows: &[(&str, &str)]) {
    for (what, meaning) in rows {
        roff.control("TP", []);
        roff.text([bold(*what)]);
        roff.text([roman(*meaning)]);
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_command_has_an_example_that_is_valid() {
        for one in EXAMPLES {
            let own = one
                .line
                .split(" | ")
                .find(|part| part.contains("hullwatch"));
            let own = own.unwrap_or_else(|| panic!("{}", one.line));
            let own = own.split(" > ").next().unwrap_or_default();
            let words = shlex::split(own).unwrap();
            let words = words.iter().skip_while(|word| *word != "hullwatch");
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("{}: {error}", one.line);
            }
            assert!(own.contains(one.command), "{}", one.line);
        }
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
        for sub in shown {
            let name = format!("hullwatch {}", sub.get_name());
            let found = EXAMPLES.iter().any(|one| one.command.starts_with(&name));
            assert!(found, "{name} has no example");
        }
    }

    #[test]
    fn a_page_has_examples_files_and_exit_status() {
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        let mut made = Vec::new();
        pages(&command, &mut made).unwrap();
        let (_, text) = made
            .iter()
            .find(|(name, _)| name == "hullwatch-watch.1")
            .unwrap();
        let text = String::from_utf8_lossy(text);
        for section in [
            "OPTIONS",
            "EXAMPLES",
            "\"EXIT STATUS\"",
            "FILES",
            "\"SEE ALSO\"",
        ] {
            assert!(
                text.contains(&format!(".SH {section}")),
                "{section}: {text}"
            );
        }
        assert!(
            made.iter()
                .any(|(name, _)| name == "hullwatch-policy-init.1")
        );
    }
}
