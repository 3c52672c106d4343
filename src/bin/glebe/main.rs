//! The `glebe` command: runs programs on the allocator, installs it, lists its options.
//!
//! It knows the library only as a user does: by its file, its environment variables and what it
//! prints; `map` alone reads what a process holds, with the library's own code. One room for each
//! step of a run: `library` finds libglebe.so, `program` finds what is to be executed and says how
//! far a preload reaches there, `run` sets the environment and executes. `symbolize` reads what a
//! run reported, `map` draws an address space.
//!
//! Without std's start-up, which ignores SIGPIPE and opens closed descriptors: the program would
//! inherit both.
#![cfg_attr(not(test), no_main)]

mod install;
mod library;
#[path = "map/mod.rs"]
mod map_command;
mod options;
mod program;
mod run;
mod symbolize;

// The map reads tables by the library's own code. The rooms are compiled in, without doors and heap:
// to link the library would be to have an allocator that nobody uses, and its constructor.
macro_rules! library_rooms {
    ($($path:literal $room:ident)*) => {
        $(
            #[path = $path]
            #[allow(
                dead_code,
                unreachable_pub,
                unused_extern_crates,
                unused_imports,
                unused_macros,
                reason = "a part of the library, of which the launcher uses a part"
            )]
            mod $room;
        )*
    };
}
library_rooms! {
    "../../base/mod.rs" base
    "../../cache/mod.rs" cache
    "../../config.rs" config
    "../../data_section.rs" data_section
    "../../guard/mod.rs" guard
    "../../large/mod.rs" large
    "../../map/mod.rs" map
    "../../metadata/mod.rs" metadata
    "../../observe/mod.rs" observe
    "../../os/mod.rs" os
    "../../pages/mod.rs" pages
    "../../paging/mod.rs" paging
    "../../report.rs" report
    "../../segment/mod.rs" segment
    "../../small/mod.rs" small
}

/// What the map is made of.
mod address_space {
    pub(crate) use crate::map::AddressSpace;
    pub(crate) use crate::map::model::{MapError, MapKind, MapPageState, MapRegion, MapRun};
}

use std::process::exit;

use clap::{Parser, Subcommand};

const PURPOSE: &str = "\
A malloc replacement for Linux: run programs on it, install it.

glebe takes the place of malloc, free and their kin, C++'s new and delete included, in programs for
x86-64 Linux with glibc that stay as they are: the loader loads libglebe.so before all other
libraries (LD_PRELOAD).";

const EXAMPLES: &str = "\
Examples:
  glebe run -- python3 app.py               python3 with every malloc and free served by glebe
  glebe run --stats -- redis-server         and a summary of its memory when it ends
  glebe run --stats=json --stats-file heap.jsonl -- make -j4
                                            one line of JSON from every process that make starts
  glebe run --budget 512M -- redis-server   more heap than memory: the rest is compressed
  glebe map 4711                            what lies where in a process, and where its pages are
  glebe symbolize report.txt                a report with functions, files and lines
  GLEBE_DIRTY_MIB=0 glebe run -- node a.js  with an option of the library: see `glebe options`
  sudo glebe install                        library, header, glebe.pc, command, manual: /usr/local
  glebe install --prefix ~/.local           the same without root
  sudo glebe uninstall                      removes exactly these files

Without this command, once installed (or with the path of any other copy of the library):
  LD_PRELOAD=/usr/local/lib/libglebe.so python3 app.py            preloaded
  cc a.c $(pkg-config --cflags --libs glebe)                      linked: malloc is glebe's
  cc a.c $(pkg-config --variable=takeover glebe)                  the same, linked statically

`glebe COMMAND --help` tells the rest; so does the manual, `man glebe`.";

/// A malloc replacement for Linux: run programs on it, install it
#[derive(Parser)]
#[command(name = "glebe", version, long_about = PURPOSE, after_help = EXAMPLES)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Arguments),
    Install(install::Arguments),
    Uninstall(install::Place),
    /// List the GLEBE_* variables: values, defaults, meaning
    Options,
    Map(map_command::Arguments),
    Symbolize(symbolize::Arguments),
}

/// Why a command was not carried out.
struct Failure {
    /// The exit status.
    status: i32,
    /// One line, without the name of the command in front.
    message: String,
}

impl Failure {
    fn new(status: i32, message: impl Into<String>) -> Failure {
        Failure {
            status,
            message: message.into(),
        }
    }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
extern "C" fn main() {
    let outcome = match CommandLine::parse().command {
        Command::Run(arguments) => run::run(&arguments).map(|never| match never {}),
        Command::Install(arguments) => install::install(&arguments),
        Command::Uninstall(place) => install::uninstall(&place),
        Command::Options => {
            print!("{}", options::table());
            Ok(())
        }
        Command::Map(arguments) => map_command::map(&arguments),
        Command::Symbolize(arguments) => symbolize::symbolize(&arguments),
    };
    exit(match outcome {
        Ok(()) => 0,
        Err(failure) => {
            eprintln!("glebe: {}", failure.message);
            failure.status
        }
    })
}
