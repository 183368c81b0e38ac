// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which ancestor, if any, is the sudo that the caller's shell started.
//!
//! The walk goes upwards from our parent. Programs between sudo and us (`env`, `timeout`, `make`, a shell with a
//! script) don't matter; neither do several sudo processes in a row (the monitor of `use_pty`, `sudo sudo …`):
//! the outermost counts. The walk ends at an interactive shell, because whoever sits there is our caller:
//! a root shell opened by `sudo -s`, `sudo -i` or `sudo su` makes a plain root session. Once a sudo was found it
//! also ends at a process that is not root: that is who called it.

use super::ancestors::Ancestor;

/// Index of the outermost sudo of our session.
pub(super) fn outermost(ancestors: &[Ancestor]) -> Option<usize> {
    let mut found = None;
    for (index, ancestor) in ancestors.iter().enumerate() {
        // Without root's effective uid it is some other program of that name.
        if matches!(ancestor.executable.as_slice(), b"sudo" | b"sudo-rs")
            && ancestor.effective_uid == 0
        {
            found = Some(index);
        } else if is_interactive_shell(ancestor) || (found.is_some() && ancestor.effective_uid != 0)
        {
            break;
        }
    }
    found
}

/// The `NAME=value` arguments that were given to sudo itself (`sudo GOFLAGS=-x gomod-trace …`).
///
/// They are on sudo's command line, not in its environment; a user who writes them wants the command to see them.
pub(super) fn assignments(argv: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut rest = argv.iter().skip(1);
    while let Some(argument) = rest.next() {
        if argument == b"--" {
            break;
        } else if let Some(long) = argument.strip_prefix(b"--") {
            if LONG_WITH_VALUE.contains(&long) {
                rest.next();
            }
        } else if argument.len() > 1 && argument[0] == b'-' {
            // In a cluster such as `-nu`, the first letter that takes a value takes the rest, or the next word.
            let letter = argument[1..]
                .iter()
                .position(|letter| SHORT_WITH_VALUE.contains(letter));
            if letter.is_some_and(|position| position + 2 == argument.len()) {
                rest.next();
            }
        } else if argument
            .first()
            .is_some_and(|first| !matches!(first, b'=' | b'/'))
            && argument.contains(&b'=')
        {
            found.push(argument.clone());
        } else {
            break;
        }
    }
    found
}

/// Options of sudo(8) that take a value in the next word.
const SHORT_WITH_VALUE: &[u8] = b"aCcDghpRrTtUu";
const LONG_WITH_VALUE: &[&[u8]] = &[
    b"auth-type",
    b"chdir",
    b"chroot",
    b"close-from",
    b"command-timeout",
    b"group",
    b"host",
    b"login-class",
    b"other-user",
    b"prompt",
    b"role",
    b"type",
    b"user",
];

const SHELLS: &[&[u8]] = &[
    b"ash", b"bash", b"csh", b"dash", b"elvish", b"fish", b"ksh", b"mksh", b"nu", b"oksh", b"pwsh",
    b"rbash", b"sh", b"tcsh", b"xonsh", b"yash", b"zsh",
];

fn is_interactive_shell(process: &Ancestor) -> bool {
    let Some(name) = process.argv.first() else {
        return false;
    };
    let login = name.first() == Some(&b'-');
    let called = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let called = called.strip_prefix(b"-").unwrap_or(called);
    // busybox and toybox are many programs in one: the name they were called by tells which.
    let is_shell = match process.executable.as_slice() {
        b"" | b"busybox" | b"toybox" => is_shell_name(called),
        executable => is_shell_name(executable),
    };
    is_shell && (login || reads_commands_from_user(process))
}

/// `zsh-5.9` and `ksh93` are shells too.
fn is_shell_name(name: &[u8]) -> bool {
    let end = name
        .iter()
        .rposition(|byte| !(byte.is_ascii_digit() || matches!(byte, b'.' | b'-')))
        .map_or(0, |last| last + 1);
    SHELLS.contains(&&name[..end])
}

/// No script and no `-c`; `sudo bash < script` has a stdin that is no terminal.
fn reads_commands_from_user(shell: &Ancestor) -> bool {
    let mut interactive = shell.stdin_is_terminal;
    let mut arguments = shell.argv.iter().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_slice() {
            b"-" | b"--" => return interactive && arguments.next().is_none(),
            b"--rcfile" | b"--init-file" | b"-o" | b"+o" | b"-O" | b"+O" => {
                arguments.next();
            }
            b"--command" => return false,
            long if long.starts_with(b"--") => {}
            short if short.len() > 1 && matches!(short[0], b'-' | b'+') => {
                if short[1..].contains(&b'c') {
                    return false;
                }
                interactive |= short[0] == b'-' && short[1..].contains(&b'i');
            }
            _script => return false,
        }
    }
    interactive
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(executable: &str, command_line: &str, uid: u32) -> Ancestor {
        Ancestor {
            executable: executable.into(),
            argv: command_line
                .split(' ')
                .map(|word| word.as_bytes().to_vec())
                .collect(),
            real_uid: uid,
            effective_uid: uid,
            stdin_is_terminal: true,
            ..Ancestor::default()
        }
    }

    fn sudo(command_line: &str) -> Ancestor {
        process("sudo", command_line, 0)
    }

    #[test]
    fn the_monitor_of_a_pty_does_not_hide_the_outer_sudo() {
        let chain = [
            sudo("sudo gomod-trace"),
            sudo("sudo gomod-trace"),
            process("bash", "bash", 1000),
        ];
        assert_eq!(outermost(&chain), Some(1));
    }

    #[test]
    fn programs_between_sudo_and_us_still_count() {
        for between in [
            process("env", "env X=1 gomod-trace", 0),
            process("timeout", "timeout 60 gomod-trace", 0),
            process("make", "make", 0),
            process("bash", "bash -c gomod-trace", 0),
            process("bash", "bash -eo pipefail script.sh", 0),
            process("dash", "sh script.sh", 0),
            process("bash", "bash --norc -xc gomod-trace", 0),
        ] {
            let chain = [between.clone(), sudo("sudo"), process("zsh", "zsh", 1000)];
            assert_eq!(outermost(&chain), Some(1), "{between:?}");
        }
    }

    #[test]
    fn a_script_on_stdin_is_not_an_interactive_shell() {
        let mut shell = process("bash", "bash", 0);
        shell.stdin_is_terminal = false;
        assert_eq!(outermost(&[shell, sudo("sudo bash")]), Some(1));
    }

    #[test]
    fn an_interactive_root_shell_is_a_plain_root_session() {
        for shell in [
            process("bash", "/bin/bash", 0),
            process("bash", "-bash", 0),
            process("zsh-5.9", "zsh -i", 0),
            process("busybox", "sh", 0),
            process("bash", "bash --rcfile /x -o vi", 0),
        ] {
            assert_eq!(
                outermost(&[shell.clone(), sudo("sudo -s")]),
                None,
                "{shell:?}"
            );
        }
    }

    #[test]
    fn a_sudo_inside_a_root_session_has_that_session_as_its_caller() {
        let chain = [
            sudo("sudo x"),
            process("bash", "bash", 0),
            sudo("sudo -s"),
            process("bash", "bash", 1000),
        ];
        assert_eq!(outermost(&chain), Some(0));
    }

    #[test]
    fn nested_sudo_ends_where_another_user_called_it() {
        let chain = [
            sudo("sudo x"),
            sudo("sudo sudo x"),
            process("fish", "fish", 1000),
        ];
        assert_eq!(outermost(&chain), Some(1));
        let as_other = [
            sudo("sudo x"),
            process("make", "make", 1001),
            sudo("sudo -u other make"),
        ];
        assert_eq!(outermost(&as_other), Some(0));
    }

    #[test]
    fn a_program_that_is_merely_called_sudo_does_not_count() {
        assert_eq!(outermost(&[process("sudo", "sudo x", 1000)]), None);
    }

    #[test]
    fn assignments_on_sudos_command_line_are_found_up_to_the_command() {
        let find = |line: &str| {
            let argv: Vec<_> = line
                .split(' ')
                .map(|word| word.as_bytes().to_vec())
                .collect();
            let found: Vec<_> = assignments(&argv)
                .iter()
                .map(|entry| String::from_utf8_lossy(entry).into_owned())
                .collect();
            found.join(" ")
        };
        assert_eq!(find("sudo A=1 B=2 gomod-trace run C=3"), "A=1 B=2");
        assert_eq!(find("sudo -nu root A=1 x"), "A=1");
        assert_eq!(find("sudo -uroot -E A=1 x"), "A=1");
        assert_eq!(
            find("sudo --user root --preserve-env=Z A=1 -n B=2 x"),
            "A=1 B=2"
        );
        assert_eq!(find("sudo -u A=1 x"), "");
        assert_eq!(find("sudo -- A=1"), "");
        assert_eq!(find("sudo /opt/a=b A=1"), "");
    }
}
