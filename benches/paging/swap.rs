//! The kernel's ways to have more heap than memory: compressed memory as a swap device (zram),
//! compressed memory before a swap file (zswap), and a swap file alone. Each is switched on for a
//! run and off after it: values undo what they did, when they go.

use nix::fcntl::posix_fallocate;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// More than any program here leaves no room for.
const SWAP_BYTES: u64 = 2 << 30;

const ALGORITHM: &str = "lz4";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Zram,
    Zswap,
    File,
}

/// Swap that is on. Fields go in this order.
pub(crate) struct Swap {
    kind: Kind,
    _area: Area,
    device: Option<Zram>,
    _parameters: Vec<Parameter>,
    _file: Option<SwapFile>,
}

impl Swap {
    /// Err says what is missing.
    pub(crate) fn on(kind: Kind) -> Result<Self, String> {
        if fs::read_to_string("/proc/swaps").is_ok_and(|it| it.lines().count() > 1) {
            return Err("other swap is on".to_owned());
        }
        let (mut device, mut file, mut parameters) = (None, None, Vec::new());
        let path = match kind {
            Kind::Zram => device.insert(Zram::set_up()?).device.clone(),
            _ => file.insert(SwapFile::create()?).0.clone(),
        };
        let switch = if kind == Kind::Zswap { "Y" } else { "N" };
        if kind == Kind::Zswap {
            // The kernel need not have it for zswap; then its default stays.
            parameters.extend(Parameter::set("compressor", ALGORITHM));
        }
        if Path::new(ZSWAP).exists() {
            parameters.push(Parameter::set("enabled", switch)?);
        } else if kind == Kind::Zswap {
            return Err("no zswap in this kernel".to_owned());
        }
        Ok(Self {
            kind,
            _area: Area::on(path)?,
            device,
            _parameters: parameters,
            _file: file,
        })
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// What the swapped pages take in memory now.
    pub(crate) fn pool_kib(&self) -> f64 {
        match (self.kind, &self.device) {
            (Kind::Zram, Some(device)) => device.used_kib(),
            (Kind::Zswap, _) => zswap_kib(),
            _ => 0.0,
        }
    }
}

/// What is swapped out on the whole machine, uncompressed.
pub(crate) fn used_kib() -> f64 {
    let text = fs::read_to_string("/proc/swaps").unwrap_or_default();
    let used = text.lines().skip(1).filter_map(|line| {
        let used = line.split_whitespace().nth(3)?;
        used.parse::<f64>().ok()
    });
    used.sum()
}

/// A file or device that is swapped to.
struct Area(PathBuf);

impl Area {
    fn on(path: PathBuf) -> Result<Self, String> {
        run("mkswap", &path)?;
        run("swapon", &path)?;
        Ok(Self(path))
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        if let Err(why) = run("swapoff", &self.0) {
            eprintln!("swap stays on: {why}");
        }
    }
}

fn run(program: &str, path: &Path) -> Result<(), String> {
    let mut command = Command::new(program);
    let output = command.arg(path).stdin(Stdio::null()).output();
    let output = output.map_err(|why| format!("{program}: {why}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(()),
        false => Err(said.lines().next().unwrap_or(program).to_owned()),
    }
}

/// A zram device that nobody used; without contents and size again when the value goes.
struct Zram {
    device: PathBuf,
    attributes: PathBuf,
}

impl Zram {
    fn set_up() -> Result<Self, String> {
        let free = |number: &u32| {
            let size = fs::read_to_string(format!("/sys/block/zram{number}/disksize"));
            size.is_ok_and(|it| it.trim() == "0")
        };
        let added = || {
            let number = fs::read_to_string("/sys/class/zram-control/hot_add").ok()?;
            number.trim().parse().ok()
        };
        let number = (0..16).find(free).or_else(added).ok_or("no zram device")?;
        let zram = Self {
            device: format!("/dev/zram{number}").into(),
            attributes: format!("/sys/block/zram{number}").into(),
        };
        zram.set("comp_algorithm", ALGORITHM)?;
        zram.set("disksize", &SWAP_BYTES.to_string())?;
        Ok(zram)
    }

    fn set(&self, attribute: &str, value: &str) -> Result<(), String> {
        fs::write(self.attributes.join(attribute), value)
            .map_err(|why| format!("zram's {attribute}: {why}"))
    }

    /// The third figure: memory taken, with what is lost to fragments.
    fn used_kib(&self) -> f64 {
        let text = fs::read_to_string(self.attributes.join("mm_stat")).unwrap_or_default();
        let used = text.split_whitespace().nth(2);
        used.and_then(|it| it.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    }
}

impl Drop for Zram {
    fn drop(&mut self) {
        if let Err(why) = self.set("reset", "1") {
            eprintln!("{} stays as it is: {why}", self.device.display());
        }
    }
}

const ZSWAP: &str = "/sys/module/zswap/parameters";

/// What zswap will compress with.
pub(crate) fn zswap_compressor() -> String {
    let known = fs::read_to_string("/proc/crypto").unwrap_or_default();
    let is_known = known.lines().any(|line| {
        let words = line.split_once(':');
        words.is_some_and(|(name, value)| name.trim() == "name" && value.trim() == ALGORITHM)
    });
    match is_known {
        true => ALGORITHM.to_owned(),
        false => fs::read_to_string(Path::new(ZSWAP).join("compressor")).unwrap_or_default(),
    }
}

fn zswap_kib() -> f64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|it| it.strip_prefix("Zswap:"));
    let kib = line.and_then(|it| it.trim().strip_suffix(" kB")?.parse().ok());
    kib.unwrap_or(0.0)
}

/// A parameter of zswap, as it was before when the value goes.
struct Parameter {
    file: PathBuf,
    before: String,
}

impl Parameter {
    fn set(name: &str, value: &str) -> Result<Self, String> {
        let file = Path::new(ZSWAP).join(name);
        let failed = |why| format!("zswap's {name}: {why}");
        let before = fs::read_to_string(&file).map_err(failed)?;
        fs::write(&file, value).map_err(failed)?;
        Ok(Self { file, before })
    }
}

impl Drop for Parameter {
    fn drop(&mut self) {
        if let Err(why) = fs::write(&self.file, self.before.trim()) {
            let before = self.before.trim();
            eprintln!("{} was {before}: {why}", self.file.display());
        }
    }
}

/// Removed with the value.
struct SwapFile(PathBuf);

impl SwapFile {
    /// In /var/tmp: /tmp may be in memory.
    fn create() -> Result<Self, String> {
        let path = format!("/var/tmp/glebe-paging-{}.swap", std::process::id());
        let failed = |why: String| format!("{path}: {why}");
        let file = File::create(&path).map_err(|why| failed(why.to_string()))?;
        let swap = Self(path.clone().into());
        file.set_permissions(PermissionsExt::from_mode(0o600))
            .map_err(|why| failed(why.to_string()))?;
        let length = SWAP_BYTES.try_into().expect("below 2^63");
        posix_fallocate(&file, 0, length).map_err(|why| failed(why.to_string()))?;
        Ok(swap)
    }
}

impl Drop for SwapFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
