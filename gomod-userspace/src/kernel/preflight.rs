// SPDX-License-Identifier: MIT OR Apache-2.0
//! What must be there before anything is loaded, each with one clear error.

use std::{env, ffi::OsString, fs, path::Path};

use super::KernelError;

/// Oldest kernel on which the programs can load, major and minor number: the ring buffer and `bpf_get_current_pid_tgid` and the socket
/// cookie in `cgroup/sock_create` are there by 5.10, the oldest long-term kernel with all of them.
pub const FLOOR: (u32, u32) = (5, 10);
const FLOOR_NAME: &str = "5.10";

/// Capabilities that loading and attaching need (capability(7)), by bit number.
const NEEDED: &[(u32, &str)] = &[
    (12, "CAP_NET_ADMIN"),
    (21, "CAP_SYS_ADMIN"),
    (38, "CAP_PERFMON"),
    (39, "CAP_BPF"),
];

/// Checks kernel version and capabilities.
///
/// `CAP_SYS_ADMIN` is needed for the private tracefs mount and the child's cgroup; see docs/privileges.md.
pub fn preflight() -> Result<(), KernelError> {
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    if version(&release).is_some_and(|found| found < FLOOR) {
        return Err(KernelError::Version {
            found: release,
            floor: FLOOR_NAME,
        });
    }
    match lacking_capabilities()? {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// The error that names the capabilities which this process lacks, and a command that would have them; `None` if it
/// has all.
pub fn lacking_capabilities() -> Result<Option<KernelError>, KernelError> {
    let missing = missing_capabilities(effective_capabilities()?);
    Ok((!missing.is_empty()).then(|| KernelError::Capabilities {
        missing: missing.join(", "),
        remedy: remedy(),
    }))
}

/// Major and minor number of a kernel release such as "6.1.0-13-amd64".
pub fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(str::parse::<u32>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn effective_capabilities() -> Result<u64, KernelError> {
    let status = fs::read_to_string("/proc/self/status")
        .map_err(KernelError::system("cannot read /proc/self/status"))?;
    Ok(status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0))
}

fn missing_capabilities(effective: u64) -> Vec<&'static str> {
    NEEDED
        .iter()
        .filter(|(bit, _)| effective & (1 << bit) == 0)
        .map(|(_, name)| *name)
        .collect()
}

/// The same command with what it lacks: `sudo` for a user, more privilege for a container's root.
fn remedy() -> String {
    let program = env::current_exe().unwrap_or_default();
    let words = command_line(env::args_os(), &program);
    if rustix::process::geteuid().is_root() {
        format!("docker run --privileged --cgroupns=host --pid=host IMAGE {words}")
    } else {
        format!("sudo {words}")
    }
}

/// Where sudo looks for commands by default (`secure_path` in sudoers(5)), whatever the caller's PATH says.
const SECURE_PATH: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// Our command line, in which root's shell will find us: by our whole path where PATH alone would not do.
fn command_line(words: impl Iterator<Item = OsString>, program: &Path) -> String {
    let mut words: Vec<String> = words
        .map(|word| shell_word(&word.to_string_lossy()))
        .collect();
    let found = program.parent().is_some_and(|directory| {
        SECURE_PATH
            .iter()
            .any(|known| directory == Path::new(known))
    });
    if let Some(name) = words.first_mut()
        && !name.contains('/')
        && !found
        && program.is_absolute()
    {
        *name = shell_word(&program.to_string_lossy());
    }
    words.join(" ")
}

/// A word as it must be typed.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_kernel_releases() {
        assert_eq!(version("6.18.44-fc-v595"), Some((6, 18)));
        assert_eq!(version("5.4.0-150-generic"), Some((5, 4)));
        assert!(version("5.4.0").unwrap() < FLOOR);
        assert!(version("5.10.1").unwrap() >= FLOOR);
        assert_eq!(version("next"), None);
    }

    #[test]
    fn names_what_is_missing() {
        assert_eq!(
            missing_capabilities(1 << 12 | 1 << 39),
            ["CAP_SYS_ADMIN", "CAP_PERFMON"]
        );
        assert!(missing_capabilities(u64::MAX).is_empty());
    }

    #[test]
    fn the_command_can_be_typed_as_it_is_shown() {
        let line = |program: &str| {
            let words = ["gomod-trace", "run", "--", "my go"].map(OsString::from);
            command_line(words.into_iter(), Path::new(program))
        };
        assert_eq!(
            line("/usr/local/bin/gomod-trace"),
            "gomod-trace run -- 'my go'"
        );
        // sudo would not find it there by its name.
        assert_eq!(
            line("/home/u/.cargo/bin/gomod-trace"),
            "/home/u/.cargo/bin/gomod-trace run -- 'my go'"
        );
        assert_eq!(
            command_line(
                ["./gomod-trace"].map(OsString::from).into_iter(),
                Path::new("/x/gomod-trace")
            ),
            "./gomod-trace"
        );
    }

    #[test]
    fn quotes_words_for_the_shell() {
        assert_eq!(shell_word("go"), "go");
        assert_eq!(shell_word("a b"), "'a b'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
    }
}
