//! `glebe map`: a picture of the address space of a process, or of a program that it runs.
//!
//! `picture` is what is drawn; `terminal`, `json` and `svg` draw it; `live` draws it again and
//! again; `traced` runs a program and stops it where its memory is still there.

#[cfg(test)]
mod fixture;
mod json;
mod live;
mod picture;
mod svg;
mod terminal;
mod traced;
mod words;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use crate::address_space::{AddressSpace, MapError, MapKind};
use clap::{Args, ValueEnum, value_parser};

use crate::Failure;
use crate::run;
use picture::{Picture, Region};
use terminal::Style;

const DETAILS: &str = "\
Examples:
  glebe map 4711                        each region: where, how large, what for, where its pages are
  glebe map --all --pages stack 4711    the stacks, a cell for each page
  glebe map --live 4711                 again each second, with what changed; ^C ends it
  glebe map --svg heap.svg 4711         the picture of the textbook: text at the bottom, stack on top
  glebe map --json 4711 | jq .totals
  glebe map -- python3 app.py           runs it on glebe, and draws its memory as it was at its end
  glebe map --after 5 --svg a.svg --budget 64M -- ./simulation
                                        as it is after 5 seconds, with any option of `glebe run`

A process that does not run glebe has a map too: its heap is then one region, without classes.
Nothing is stopped and no signal is sent, but by --at-exit, which traces the program: a debugger
cannot be attached to it, and it gains no rights by setuid.

Exit status: 0, or 1 where there is no map; with a PROGRAM its own, or 125, 126 and 127 as those of
`glebe run`; 2 for wrong use.";

/// Draw the address space of a process: what lies where, and where its pages are
#[derive(Args)]
#[command(after_help = DETAILS)]
#[command(
    override_usage = "glebe map [OPTIONS] PID\n       glebe map [OPTIONS] -- PROGRAM [ARGS]..."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    view: View,

    /// With PROGRAM: draw when it ends (the default)
    #[arg(long, conflicts_with_all = ["after", "live"])]
    at_exit: bool,

    /// With PROGRAM: draw after so many seconds, or when it ends before
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    #[arg(conflicts_with = "live")]
    after: Option<Duration>,

    #[command(flatten, next_help_heading = "Options of `glebe run`, with PROGRAM")]
    run: run::Options,

    /// The process
    #[arg(value_name = "PID", value_parser = value_parser!(i32).range(1..))]
    #[arg(required_unless_present = "program", conflicts_with = "program")]
    process: Option<i32>,

    /// What to run on glebe, and its arguments
    #[arg(value_name = "PROGRAM", last = true)]
    program: Vec<OsString>,
}

/// What is drawn, and where to.
#[derive(Args)]
struct View {
    /// A line for each region: nothing is folded
    #[arg(long)]
    all: bool,

    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,

    /// A picture in this file instead of a table (- for standard output)
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// Enlarge the region of an address (0x…), or those of a kind: heap, stack, slabs, … or all
    #[arg(long, value_name = "ADDRESS|KIND")]
    pages: Option<Choice>,

    /// Draw again each second, or as often as said, with what changed
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    #[arg(conflicts_with_all = ["json", "svg", "pages", "output"])]
    live: Option<Duration>,

    /// Write to this file instead of standard output (standard error with PROGRAM)
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Colours: auto (default: on a terminal, unless NO_COLOR is set), always, never
    #[arg(
        long,
        value_name = "WHEN",
        hide_possible_values = true,
        default_value = "auto"
    )]
    #[arg(hide_default_value = true)]
    color: Colour,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Colour {
    Auto,
    Always,
    Never,
}

/// Which regions are enlarged.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Choice {
    All,
    /// What malloc gave out, or will.
    Heap,
    Kind(MapKind),
    Address(usize),
}

impl Choice {
    fn takes(&self, region: &Region) -> bool {
        let facts = &region.facts;
        match self {
            Choice::All => true,
            Choice::Heap => words::is_heap(facts.kind),
            Choice::Kind(kind) => facts.kind == *kind,
            Choice::Address(address) => (facts.start..facts.end).contains(address),
        }
    }
}

impl std::str::FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Choice, String> {
        if let Some(digits) = text.strip_prefix("0x") {
            let address = usize::from_str_radix(digits, 16);
            return address
                .map(Choice::Address)
                .map_err(|_| "no address in hexadecimal".into());
        }
        match text {
            "all" => Ok(Choice::All),
            "heap" => Ok(Choice::Heap),
            _ => {
                let mut kinds = words::KINDS.into_iter();
                let kind = kinds.find(|kind| words::of_kind(*kind) == text);
                kind.map(Choice::Kind).ok_or_else(|| {
                    let all: Vec<_> = words::KINDS.map(words::of_kind).into();
                    format!("neither 0x…, nor all, heap, {}", all.join(", "))
                })
            }
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_string())?;
    match number {
        0.05..=1e6 => Ok(Duration::from_secs_f64(number)),
        _ => Err("not between 0.05 and a million".into()),
    }
}

/// The address space of a process as it is now.
struct Subject {
    space: AddressSpace,
}

impl Subject {
    fn of(process: i32) -> Result<Subject, Failure> {
        let space = AddressSpace::of_process(process).map_err(|error| failed(process, error))?;
        Ok(Subject { space })
    }

    fn refresh(&mut self) -> Result<(), MapError> {
        self.space.refresh()
    }

    fn picture(&self) -> Picture {
        let space = &self.space;
        let process = space.process();
        let read = |file: &str| fs::read_to_string(format!("/proc/{process}/{file}"));
        let region = |(index, facts): (usize, &crate::address_space::MapRegion)| Region {
            facts: *facts,
            name: printable(&String::from_utf8_lossy(space.name(index))),
            runs: space.runs(index).to_vec(),
        };
        Picture {
            process,
            program: printable(read("comm").unwrap_or_default().trim_end()),
            executable: fs::read_link(format!("/proc/{process}/exe"))
                .map(|path| printable(&path.to_string_lossy()))
                .unwrap_or_default(),
            runs_glebe: space.runs_glebe(),
            regions: space.regions().iter().enumerate().map(region).collect(),
        }
    }
}

/// The text without what a terminal would obey: the process chose it.
fn printable(text: &str) -> String {
    text.replace(|letter: char| letter.is_control(), "?")
}

/// What a user can do about it, in one line.
fn failed(process: i32, error: MapError) -> Failure {
    let message = match error {
        MapError::NoProcess => format!("{process}: no such process, or it has ended"),
        MapError::NotPermitted => {
            let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
            let hint = match scope.as_deref().map(str::trim_end) {
                Ok("0") | Err(_) => "",
                Ok(_) => " (and kernel.yama.ptrace_scope is above 0: root may)",
            };
            format!("{process}: not permitted: it takes root, or the user who runs it{hint}")
        }
        MapError::NoProc => "/proc is not mounted, or not as Linux has it".into(),
        MapError::NoMemory => "no memory for the map".into(),
        error => format!("{process}: no map: {error:?}"),
    };
    Failure::new(1, message)
}

/// Carries out the command; ends the process itself where a program's status is passed on.
pub(crate) fn map(arguments: &Arguments) -> Result<(), Failure> {
    let view = &arguments.view;
    let Some(process) = arguments.process else {
        return traced::run(arguments);
    };
    let is_for_program = arguments.run != run::Options::default();
    if is_for_program || arguments.at_exit || arguments.after.is_some() {
        return Err(Failure::new(
            2,
            "--at-exit, --after and the options of `glebe run` are for a PROGRAM, not for a PID",
        ));
    }
    match view.live {
        Some(period) => live::watch(view, process, period),
        None => view.draw(&Subject::of(process)?.picture(), Stream::Output),
    }
}

/// Where a map goes unless a file is named.
#[derive(Clone, Copy)]
enum Stream {
    Output,
    Error,
}

impl Stream {
    fn is_terminal(self) -> bool {
        match self {
            Stream::Output => io::stdout().is_terminal(),
            Stream::Error => io::stderr().is_terminal(),
        }
    }

    fn descriptor(self) -> i32 {
        match self {
            Stream::Output => libc::STDOUT_FILENO,
            Stream::Error => libc::STDERR_FILENO,
        }
    }

    fn write(self, text: &str) -> io::Result<()> {
        match self {
            Stream::Output => {
                let mut stream = io::stdout().lock();
                stream.write_all(text.as_bytes())?;
                stream.flush()
            }
            Stream::Error => io::stderr().lock().write_all(text.as_bytes()),
        }
    }
}

/// Columns and rows of the terminal at `stream`; None where there is none.
fn terminal_size(stream: Stream) -> Option<(usize, usize)> {
    // SAFETY: all zeroes are a winsize.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: the request writes one winsize, and `size` is one.
    let answer = unsafe { libc::ioctl(stream.descriptor(), libc::TIOCGWINSZ, &raw mut size) };
    (answer == 0 && size.ws_col > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}

impl View {
    fn style(&self, stream: Stream) -> Style {
        let is_terminal = self.output.is_none() && stream.is_terminal();
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Style {
            width: match is_terminal {
                true => terminal_size(stream).map_or(terminal::PLAIN_WIDTH, |(columns, _)| columns),
                false => terminal::PLAIN_WIDTH,
            },
            has_colour: match self.color {
                Colour::Auto => is_terminal && !is_unwanted,
                Colour::Always => true,
                Colour::Never => false,
            },
        }
    }

    /// Everything that is wanted of a picture.
    fn draw(&self, picture: &Picture, stream: Stream) -> Result<(), Failure> {
        let chosen: Vec<_> = match &self.pages {
            None => Vec::new(),
            Some(choice) => picture
                .regions
                .iter()
                .filter(|region| choice.takes(region))
                .collect(),
        };
        if self.pages.is_some() && chosen.is_empty() {
            return Err(Failure::new(1, "--pages: there is no such region"));
        }
        if let Some(file) = &self.svg {
            let text = match self.pages {
                None => svg::draw(picture),
                Some(_) => svg::draw_pages(picture, &chosen),
            };
            match file.as_os_str() == "-" {
                true => put(Stream::Output.write(&text), "standard output")?,
                false => put(fs::write(file, text), &file.display().to_string())?,
            }
            if !self.json && self.output.is_none() {
                return Ok(());
            }
        }
        let text = if self.json {
            json::draw(picture, |region| {
                chosen.iter().any(|chosen| std::ptr::eq(*chosen, region))
            })
        } else {
            let style = self.style(stream);
            match self.pages {
                None => terminal::draw(picture, style, !self.all),
                Some(_) => chosen
                    .iter()
                    .map(|region| terminal::draw_pages(region, style, self.all))
                    .collect::<Vec<_>>()
                    .join("\n"),
            }
        };
        match &self.output {
            None => put(stream.write(&text), "output"),
            Some(file) => {
                let write = File::create(file).and_then(|mut it| it.write_all(text.as_bytes()));
                put(write, &file.display().to_string())
            }
        }
    }
}

fn put(outcome: io::Result<()>, to: &str) -> Result<(), Failure> {
    outcome.map_err(|error| Failure::new(1, format!("{to}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_an_address_a_kind_or_all() {
        assert_eq!("0x7f".parse(), Ok(Choice::Address(0x7f)));
        assert_eq!("all".parse(), Ok(Choice::All));
        assert_eq!("heap".parse(), Ok(Choice::Heap));
        assert_eq!("stack".parse(), Ok(Choice::Kind(MapKind::Stack)));
        for bad in ["", "7f", "0x", "0xg", "stacks", "0x10000000000000000"] {
            assert!(bad.parse::<Choice>().is_err(), "{bad}");
        }
    }

    #[test]
    fn seconds_are_above_a_twentieth() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["", "0", "-1", "x", "nan", "inf", "1e7"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
