// SPDX-License-Identifier: MIT OR Apache-2.0
//! A certificate that the command trusts and nobody else, in each state the machine's certificate files may be in.
//!
//! Every test plays the machine in a mount namespace of its own, shared as on real ones, so that what leaked out of the
//! command's namespace would show there. Each first shows that the certificate is refused without the overlay.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gomod_lab::toolchain;

use crate::bench::{User, me, text};
use crate::module_proxy::{ModuleProxy, stranger};

/// What asks the module proxy, as a shell command.
const GO: &str = "\"$GO\" list -m -versions example.test/m";
const ACCEPTED: &str = "example.test/m v1.0.0";

struct Machine {
    proxy: ModuleProxy,
    directory: tempfile::TempDir,
    go: PathBuf,
}

impl Machine {
    fn new() -> Self {
        let proxy = ModuleProxy::start();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(path.join("ca.pem"), &proxy.authority).unwrap();
        fs::write(path.join("other.pem"), stranger()).unwrap();
        fs::create_dir(path.join("home")).unwrap();
        fs::set_permissions(path.join("home"), fs::Permissions::from_mode(0o777)).unwrap();
        let go = toolchain::installed().pop().expect("no Go toolchain").go();
        Self {
            proxy,
            directory,
            go,
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn environment(&self, command: &mut Command) {
        command
            .current_dir(self.path().join("home"))
            .env("ME", me())
            .env("GO", &self.go)
            .env("D", self.path())
            .env("URL", &self.proxy.url)
            .env("HOME", self.path().join("home"))
            .env("GOPROXY", &self.proxy.url)
            .env("GONOSUMDB", "*")
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "-modcacherw")
            .env_remove("SSL_CERT_FILE")
            .env_remove("SSL_CERT_DIR");
    }

    /// Runs a script where its mounts are only its own.
    fn run(&self, script: &str) -> Output {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-ec"]);
        // Shared with nobody at first, then a peer group of its own.
        command.arg(format!("mount --make-rshared /\n{script}"));
        self.environment(&mut command);
        command.output().unwrap()
    }

    /// Prepares the machine by a script, and asks the proxy with the overlay; gives the output.
    fn ask(&self, prepare: &str, asks: &str) -> Output {
        let outside = self.run(&format!("{prepare}\n{asks}"));
        assert!(!outside.status.success(), "{outside:?}");
        assert!(
            complains_of_certificate(&outside),
            "refused for another reason: {outside:?}"
        );
        self.run(&format!(
            "{prepare}\nexec \"$ME\" --probe --trust \"$D/ca.pem\" sh -c '{asks}'"
        ))
    }

    fn accepted(&self, prepare: &str) {
        let inside = self.ask(prepare, GO);
        assert!(inside.status.success(), "{prepare}: {inside:?}");
        assert_eq!(text(&inside).trim(), ACCEPTED, "{inside:?}");
        assert_eq!(String::from_utf8_lossy(&inside.stderr), "", "{prepare}");
    }

    /// Which paths the command's own mounts cover, and how.
    fn covers(&self, prepare: &str) -> String {
        let show = "grep gomod-trace /proc/self/mountinfo | cut -d\" \" -f5,6";
        text(&self.run(&format!(
            "{prepare}\nexec \"$ME\" --probe --trust \"$D/ca.pem\" sh -c '{show}'"
        )))
    }
}

fn complains_of_certificate(output: &Output) -> bool {
    let message = String::from_utf8_lossy(&output.stderr).to_lowercase();
    message.contains("certificate") || message.contains("x509")
}

pub(crate) fn every_go() {
    let mut machine = Machine::new();
    for toolchain in toolchain::installed() {
        machine.go = toolchain.go();
        machine.accepted("true");
    }
    let bundle = fs::canonicalize("/etc/ssl/certs/ca-certificates.crt").unwrap();
    let expected = format!("{} ro,nosuid,nodev,noexec,relatime", bundle.display());
    assert_eq!(machine.covers("true").trim(), expected);
}

pub(crate) fn curl_and_git() {
    let machine = Machine::new();
    let curl = machine.ask("true", "curl -qsS \"$URL/example.test/m/@v/list\"");
    assert_eq!(text(&curl), "v1.0.0\n", "{curl:?}");
    // What the proxy answers is no repository, which git can say only after it has accepted the certificate.
    let git = machine.ask("true", "git ls-remote \"$URL/repository\"");
    let message = String::from_utf8_lossy(&git.stderr).into_owned();
    assert!(!complains_of_certificate(&git), "{message}");
    assert!(message.contains("not valid"), "{message}");
}

pub(crate) fn certificate_file() {
    let machine = Machine::new();
    let own = "export SSL_CERT_FILE=\"$D/other.pem\" SSL_CERT_DIR=/nowhere";
    machine.accepted(own);
    assert!(machine.covers(own).contains("/other.pem ro,"));
    // Relative to the working directory; an unfinished certificate at its end does not hide ours.
    machine.accepted(
        "printf 'x\\n-----BEGIN CERTIFICATE-----\\nAAAA' > \"$D/home/cut\"
        export SSL_CERT_FILE=cut SSL_CERT_DIR=/nowhere",
    );
}

pub(crate) fn missing_certificate_file() {
    let machine = Machine::new();
    let prepare = "export SSL_CERT_FILE=\"$D/missing\"";
    machine.accepted(prepare);
    assert!(!machine.covers(prepare).is_empty());
    // A file that holds no certificates is left as it is.
    let prepare = "export SSL_CERT_FILE=/etc/hostname";
    machine.accepted(prepare);
    assert!(!machine.covers(prepare).contains("hostname"));
}

pub(crate) fn certificate_directories() {
    let machine = Machine::new();
    let prepare = "mkdir \"$D/a\" \"$D/b\" 2>/dev/null || true
        cp \"$D/other.pem\" \"$D/b/second.pem\"; echo nothing > \"$D/a/README\"
        export SSL_CERT_DIR=\"$D/a:$D/b\"";
    let without_bundle = format!("{prepare} SSL_CERT_FILE=\"$D/missing\"");
    machine.accepted(&without_bundle);
    assert!(
        machine
            .covers(&without_bundle)
            .contains("/b/second.pem ro,")
    );
    machine.accepted(prepare);
    assert!(machine.covers(prepare).contains("/ca-certificates.crt ro,"));
}

/// An `/etc/ssl` of the test's own, with an empty `certs`.
const BARE: &str = "mount -t tmpfs bare /etc/ssl; mkdir /etc/ssl/certs";

pub(crate) fn linked_bundle() {
    let machine = Machine::new();
    let prepare = format!(
        "{BARE}; ln -sf \"$D/other.pem\" /etc/ssl/link; ln -s ../link /etc/ssl/certs/ca-certificates.crt"
    );
    machine.accepted(&prepare);
    assert!(machine.covers(&prepare).contains("/other.pem ro,"));
}

pub(crate) fn directory_only() {
    let machine = Machine::new();
    let prepare = format!("{BARE}; cp \"$D/other.pem\" /etc/ssl/certs/one.pem");
    machine.accepted(&prepare);
    assert!(
        machine
            .covers(&prepare)
            .contains("/etc/ssl/certs/one.pem ro,")
    );
}

pub(crate) fn empty_directory() {
    let machine = Machine::new();
    machine.accepted(BARE);
    assert!(machine.covers(BARE).contains("/etc/ssl/certs ro,"));
    machine.accepted(&format!("{BARE}; : > /etc/ssl/certs/ca-certificates.crt"));
}

pub(crate) fn no_place() {
    let machine = Machine::new();
    let inside = machine.ask(&format!("{BARE}; rmdir /etc/ssl/certs"), GO);
    let message = String::from_utf8_lossy(&inside.stderr).into_owned();
    assert!(
        message.contains("no overlay: the command finds no certificate"),
        "{message}"
    );
    assert!(
        message.contains("/etc/ssl/certs/ca-certificates.crt"),
        "{message}"
    );
    // The command ran all the same, and said what it says without us.
    assert!(message.contains("x509"), "{message}");
}

pub(crate) fn host_unchanged() {
    let machine = Machine::new();
    let output = machine.run(
        "look() { cat /proc/self/mountinfo; sha256sum /etc/ssl/certs/ca-certificates.crt; ls -l /etc/ssl/certs; }
        look > \"$D/before\"
        \"$ME\" --probe --trust \"$D/ca.pem\" sh -ec '
            sha256sum /etc/ssl/certs/ca-certificates.crt > \"$D/inner\"
            stat -c %a%u /etc/ssl/certs/ca-certificates.crt
            test -d /proc/self
            : > \"$D/running\"
            while ! test -e \"$D/seen\"; do sleep 0.02; done' &
        while ! test -e \"$D/running\"; do kill -0 $!; sleep 0.02; done
        look > \"$D/during\"; : > \"$D/seen\"
        wait $!
        look > \"$D/after\"",
    );
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&output), "4440\n");
    let [before, during, after, inner] = ["before", "during", "after", "inner"]
        .map(|name| fs::read_to_string(machine.path().join(name)).unwrap());
    assert!(
        !inner.is_empty() && !before.contains(inner.trim()),
        "no overlay: {inner}"
    );
    assert_eq!(before, during);
    assert_eq!(before, after);
    let ours = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!ours.contains("gomod-trace"), "{ours}");
}

pub(crate) fn under_sudo() {
    let machine = Machine::new();
    let user = User::create("o", true);
    let shell = |script: &str| {
        let mut command = user.shell(script);
        machine.environment(&mut command);
        command.output().unwrap()
    };
    let outside = shell(GO);
    assert!(complains_of_certificate(&outside), "{outside:?}");
    let inside = shell(&format!(
        "sudo -n \"$ME\" --probe --trust \"$D/ca.pem\" sh -c 'id -u; {GO}; echo x >> /etc/ssl/certs/ca-certificates.crt'"
    ));
    let lines = format!("{}\n{ACCEPTED}\n", user.ids().0);
    assert_eq!(text(&inside), lines, "{inside:?}");
    assert!(
        String::from_utf8_lossy(&inside.stderr).contains("ermission denied"),
        "{inside:?}"
    );

    let secret = machine.path().join("secret.pem");
    fs::write(&secret, stranger()).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let inside = shell(&format!(
        "export SSL_CERT_FILE=\"$D/secret.pem\"; sudo -n \"$ME\" --probe --trust \"$D/ca.pem\" sh -c '{GO}; cat \"$SSL_CERT_FILE\"'"
    ));
    // Go passes the file over as well, and reads the directories.
    assert_eq!(text(&inside).trim(), ACCEPTED, "{inside:?}");
    assert!(
        String::from_utf8_lossy(&inside.stderr).contains("ermission denied"),
        "{inside:?}"
    );
}

pub(crate) fn refused() {
    let machine = Machine::new();
    // The harmless stand-in of a file that is worth covering with another content.
    fs::write(machine.path().join("victim"), "untouched\n").unwrap();
    let own = "export SSL_CERT_FILE=\"$D/home/own.pem\"; rm -f \"$D/home/own.pem\"; cp \"$D/other.pem\" \"$D/home/own.pem\"";
    for (meanwhile, step) in [
        ("ln -sf \"$D/victim\" \"$D/home/own.pem\"", "fstat"),
        ("rm \"$D/home/own.pem\"", "open"),
    ] {
        let output = machine.run(&format!(
            "{own}; export MEANWHILE='{meanwhile}'
            exec \"$ME\" --probe --trust \"$D/ca.pem\" sh -c 'cat \"$D/victim\"'"
        ));
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(text(&output), "untouched\n", "{output:?}");
        assert!(
            message.contains(&format!("own.pem for the command alone: {step}")),
            "{message}"
        );
    }
    let output = machine.run(
        "exec setpriv --bounding-set=-sys_admin \"$ME\" --probe --trust \"$D/ca.pem\" echo ran",
    );
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(text(&output), "ran\n", "{output:?}");
    assert!(
        message.contains("unshare(CLONE_NEWNS) (needs CAP_SYS_ADMIN"),
        "{message}"
    );
}
