//! The map drawn again and again, with what changed since the last time.
//!
//! On a terminal it has the alternate screen, which ends with the view, however that ends; elsewhere
//! frame follows frame.

use std::collections::HashMap;
use std::fmt::Write;
use std::io::Write as _;
use std::mem;
use std::ptr;
use std::time::{Duration, Instant};

use crate::address_space::MapError;

use super::picture::{Line, Picture, Sum};
use super::terminal;
use super::words::amount;
use super::{Stream, Subject, View, failed, terminal_size, traced};
use crate::Failure;

/// Alternate screen, no cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// To the first column of the first row.
const HOME: &str = "\x1b[H";
/// What is to the right, and what is below, is erased.
const ERASE_LINE: &str = "\x1b[K";
const ERASE_BELOW: &str = "\x1b[J";

/// What ends a view.
pub(super) const ENDS: [i32; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// What a line is recognised by in the next frame.
type Key = (usize, &'static str);

fn key(line: &Line) -> Key {
    (line.start(), line.title.word())
}

/// A view that is drawn again.
pub(super) struct Live<'a> {
    view: &'a View,
    stream: Stream,
    is_screen: bool,
    /// The sums of the last frame; empty before the first.
    last: HashMap<Key, Sum>,
    last_all: Option<Sum>,
}

impl<'a> Live<'a> {
    pub(super) fn new(view: &'a View, stream: Stream) -> Live<'a> {
        let is_screen = stream.is_terminal();
        if is_screen {
            put(stream, ENTER);
        }
        Live {
            view,
            stream,
            is_screen,
            last: HashMap::new(),
            last_all: None,
        }
    }

    pub(super) fn draw(&mut self, picture: Picture) {
        let frame = self.frame(&picture);
        let mut text = String::new();
        if self.is_screen {
            text.push_str(HOME);
            for line in frame.lines() {
                let _ = writeln!(text, "{line}{ERASE_LINE}");
            }
            // The last row has no line feed, which would scroll.
            text.truncate(text.trim_end_matches('\n').len());
            text.push_str(ERASE_BELOW);
        } else {
            text = frame + "\n";
        }
        put(self.stream, &text);
    }

    fn frame(&mut self, picture: &Picture) -> String {
        let style = self.view.style(self.stream);
        let lines = match self.view.all {
            true => picture.lines(),
            false => picture.folded(),
        };
        let sums: HashMap<_, _> = lines.iter().map(|line| (key(line), line.sum())).collect();
        let all = Sum::of(&picture.regions);
        let mut frame = terminal::title(picture, style) + "\n";
        let changed = match &self.last_all {
            None => "^C ends this view".into(),
            Some(last) => match change(last, &all) {
                text if text.is_empty() => "nothing changed since the last frame".into(),
                text => format!("since the last frame: {text}"),
            },
        };
        let _ = writeln!(frame, "{}", style.cut(&changed));
        let legend = terminal::legend(style);
        let rows = match self.is_screen {
            true => terminal_size(self.stream).map_or(24, |(_, rows)| rows),
            false => usize::MAX,
        };
        // One for the heading, one to say that lines are missing.
        let taken = frame.lines().count() + legend.lines().count() + 2;
        let (shown, left_out) = terminal::largest(lines, rows.saturating_sub(taken).max(1));
        let note = |line: &Line| match self.last.get(&key(line)) {
            None if self.last_all.is_some() => "[new]".into(),
            None => String::new(),
            Some(last) => match change(last, &sums[&key(line)]) {
                text if text.is_empty() => text,
                text => format!("[{text}]"),
            },
        };
        for row in terminal::table(picture, style, &shown, note) {
            frame.push_str(&row);
            frame.push('\n');
        }
        if left_out > 0 {
            let line = format!("{left_out} lines with less memory are not shown");
            let _ = writeln!(frame, "{}", style.cut(&line));
        }
        frame.push_str(&legend);
        frame.push('\n');
        self.last = sums;
        self.last_all = Some(all);
        if self.is_screen {
            let kept: Vec<_> = frame.lines().take(rows).collect();
            return kept.join("\n");
        }
        frame
    }
}

impl Live<'_> {
    /// Stops this process as ^Z does, with the terminal as it was, until the shell continues it.
    pub(super) fn pause(&self) {
        self.leave();
        // SAFETY: a signal to this process.
        unsafe { libc::raise(libc::SIGSTOP) };
        if self.is_screen {
            put(self.stream, ENTER);
        }
    }

    fn leave(&self) {
        if self.is_screen {
            put(self.stream, LEAVE);
        }
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// "resident +1.2 MiB, evicted -4 KiB"; empty where neither changed.
fn change(last: &Sum, now: &Sum) -> String {
    let mut parts = Vec::new();
    for (word, last, now) in [
        ("resident", last.resident, now.resident),
        ("evicted", last.evicted, now.evicted),
        ("swapped", last.swapped, now.swapped),
    ] {
        if now > last {
            parts.push(format!("{word} +{}", amount(now - last)));
        } else if now < last {
            parts.push(format!("{word} -{}", amount(last - now)));
        }
    }
    parts.join(", ")
}

fn put(stream: Stream, text: &str) {
    // A terminal that is gone sends SIGHUP.
    let _ = match stream {
        Stream::Output => stream.write(text),
        Stream::Error => std::io::stderr().lock().write_all(text.as_bytes()),
    };
}

/// Waits for one of the blocked `signals`; None when `time` is over.
pub(super) fn wait_for(signals: &[i32], time: Option<Duration>) -> Option<i32> {
    let time = time.map(|time| libc::timespec {
        tv_sec: time.as_secs() as libc::time_t,
        tv_nsec: time.subsec_nanos().into(),
    });
    // SAFETY: all zeroes are a sigset_t; the calls write to it alone and read `time`, which lives.
    let signal = unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in signals {
            libc::sigaddset(&mut set, *signal);
        }
        let time = time.as_ref().map_or(ptr::null(), ptr::from_ref);
        libc::sigtimedwait(&set, ptr::null_mut(), time)
    };
    (signal > 0).then_some(signal)
}

/// The view of a process, until it ends or the user ends the view.
pub(super) fn watch(view: &View, process: i32, period: Duration) -> Result<(), Failure> {
    // Nothing interrupts a frame; what ends the view is waited for, and so is a new size.
    let awaited: Vec<_> = [&ENDS[..], &[libc::SIGWINCH, libc::SIGTSTP]].concat();
    let mut subject = Subject::of(process)?;
    traced::block(&awaited);
    let mut live = Live::new(view, Stream::Output);
    let mut deadline = Instant::now();
    loop {
        live.draw(subject.picture());
        deadline = (deadline + period).max(Instant::now());
        let left = deadline.saturating_duration_since(Instant::now());
        match wait_for(&awaited, Some(left)) {
            Some(libc::SIGTSTP) => {
                live.pause();
            }
            Some(signal) if ENDS.contains(&signal) => return Ok(()),
            _ => {}
        }
        match subject.refresh() {
            Ok(()) => {}
            Err(MapError::NoProcess) => {
                drop(live);
                println!("process {process} has ended");
                return Ok(());
            }
            Err(error) => return Err(failed(process, error)),
        }
    }
}
