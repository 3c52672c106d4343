//! The machine that the figures are of.

use std::fs;

/// Names and values.
pub(crate) type Machine = Vec<(&'static str, String)>;

/// What the figures depend on beside the allocators.
pub(crate) fn machine() -> Machine {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let field = |file: &str, name: &str| {
        let text = read(file);
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|it| it.split_once(':'));
        value.map_or(String::new(), |it| it.1.trim().to_owned())
    };
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let pages = read("/sys/kernel/mm/transparent_hugepage/enabled");
    vec![
        ("processor", field("/proc/cpuinfo", "model name")),
        ("processors", processors.to_string()),
        ("memory", field("/proc/meminfo", "MemTotal")),
        (
            "kernel",
            read("/proc/sys/kernel/osrelease").trim().to_owned(),
        ),
        ("transparent huge pages", pages.trim().to_owned()),
        ("load before", read("/proc/loadavg").trim().to_owned()),
    ]
}
