//! `glebe symbolize`: a report, its stacks completed by what the debug information says.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use addr2line::{Loader, Location, demangle_auto};
use clap::Args;

use crate::Failure;

const DETAILS: &str = "\
Examples:
  glebe symbolize report.txt
  glebe run --hardened -- ./parser input 2>&1 | glebe symbolize

A line `#1 /path/of/module+0x1234` gets the function's name and, where the module has debug
information (cc -g), the file and the line; calls that were inlined there follow on lines of their
own. All other lines stay as they are. So does a line whose module cannot be read, with a warning
on stderr. The modules must be those that ran: the same files, not rebuilt since.

Exit status: 0, or 1 if the report itself cannot be read or written.";

/// Complete the stacks of a report by functions, files and lines
#[derive(Args)]
#[command(after_help = DETAILS)]
pub(crate) struct Arguments {
    /// The report; stdin without one
    file: Option<PathBuf>,
}

/// Copies the report to stdout, line by line as it arrives.
pub(crate) fn symbolize(arguments: &Arguments) -> Result<(), Failure> {
    let mut report: Box<dyn BufRead> = match &arguments.file {
        None => Box::new(io::stdin().lock()),
        Some(path) => {
            let file = File::open(path)
                .map_err(|error| Failure::new(1, format!("{}: {error}", path.display())))?;
            Box::new(BufReader::new(file))
        }
    };
    copy(&mut report, &mut io::stdout().lock())
        .map_err(|error| Failure::new(1, format!("the report: {error}")))
}

fn copy(report: &mut dyn BufRead, out: &mut dyn Write) -> io::Result<()> {
    let mut modules = Modules::default();
    let mut line = Vec::new();
    while report.read_until(b'\n', &mut line)? > 0 {
        let end = line.strip_suffix(b"\n").unwrap_or(&line).len();
        out.write_all(&line[..end])?;
        if let Some((path, address)) = frame(&line[..end]) {
            out.write_all(modules.describe(path, address).as_bytes())?;
        }
        out.write_all(&line[end..])?;
        out.flush()?;
        line.clear();
    }
    Ok(())
}

/// The module and the address of a line `#N module+0xaddress`.
fn frame(line: &[u8]) -> Option<(&OsStr, u64)> {
    let numbered = line.trim_ascii().strip_prefix(b"#")?;
    let space = numbered.iter().position(|byte| *byte == b' ')?;
    if space == 0 || !numbered[..space].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let place = &numbered[space + 1..];
    let plus = place.windows(3).rposition(|window| window == b"+0x")?;
    let digits = str::from_utf8(&place[plus + 3..]).ok()?;
    let address = u64::from_str_radix(digits, 16).ok()?;
    Some((OsStr::from_bytes(&place[..plus]), address))
}

/// The modules of a report that were read; `None` for those that cannot be.
#[derive(Default)]
struct Modules(HashMap<PathBuf, Option<Loader>>);

impl Modules {
    /// What follows the line of a frame; empty where nothing is known.
    fn describe(&mut self, path: &OsStr, address: u64) -> String {
        let path = PathBuf::from(path);
        let module = self.0.entry(path).or_insert_with_key(|path| {
            Loader::new(path)
                .inspect_err(|error| eprintln!("glebe: {}: {error}", path.display()))
                .ok()
        });
        module
            .as_ref()
            .map_or_else(String::new, |module| describe(module, address))
    }
}

/// The functions that `address` lies in, the inlined ones first.
fn describe(module: &Loader, address: u64) -> String {
    let mut text = String::new();
    let symbol = || {
        let symbol = module.find_symbol(address)?;
        Some(demangle_auto(symbol.into(), None).into_owned())
    };
    if let Ok(mut frames) = module.find_frames(address) {
        while let Ok(Some(frame)) = frames.next() {
            let name = frame
                .function
                .as_ref()
                .and_then(|name| name.demangle().ok());
            let Some(name) = name.map(Into::into).or_else(symbol) else {
                break;
            };
            let link = if text.is_empty() {
                " in "
            } else {
                "\n       inlined into "
            };
            text.push_str(link);
            text.push_str(&name);
            if let Some(place) = frame.location {
                push_place(&mut text, &place);
            }
        }
    }
    if text.is_empty() {
        symbol().map_or(text, |name| format!(" in {name}"))
    } else {
        text
    }
}

fn push_place(text: &mut String, place: &Location<'_>) {
    if let Some(file) = place.file {
        text.push_str(" at ");
        text.push_str(file);
        if let Some(line) = place.line {
            let _ = write!(text, ":{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_a_number_a_module_and_an_address() {
        let place = |path: &'static str, address| Some((OsStr::new(path), address));
        assert_eq!(frame(b"    #0 /a/b+0x1f"), place("/a/b", 0x1f));
        assert_eq!(frame(b"#12 /a b+0x1/c++0x20"), place("/a b+0x1/c+", 0x20));
        for other in [
            "",
            "#",
            "# /a+0x1",
            "#x /a+0x1",
            "#1 /a",
            "#1 /a+0x",
            "#1 /a+0xg",
            "  access:",
            "/a+0x1",
        ] {
            assert_eq!(frame(other.as_bytes()), None, "{other}");
        }
    }
}
