// SPDX-License-Identifier: MIT OR Apache-2.0
//! Module files that a run has verified, in the runs after it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gomod_lab::{Lab, Project};
use libtest_mimic::Trial;

use crate::harness::needs::DOWNLOADS;
use crate::harness::user::User;
use crate::harness::{DOWNLOAD, Need, Outcome, Scratch, Traced, newest_go, product, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |name: &str, needs: &[Need], test: fn()| {
        let needs = DOWNLOADS.iter().chain(needs).copied().collect::<Vec<_>>();
        trial(format!("store::{name}"), needs, test)
    };
    vec![
        trial("a_second_run_fetches_no_module_file", &[], second_run),
        trial("without_prefetch_it_is_filled_as_well", &[], no_prefetch),
        trial("plain_go_downloads_from_it_offline", &[], plain_go),
        trial("a_damaged_file_is_fetched_again", &[], damaged),
        trial("a_wrong_zip_is_never_kept", &[], wrong_zip),
        trial("a_cut_zip_is_never_kept", &[], cut_zip),
        trial("two_runs_at_once_share_it", &[], at_once),
        trial("it_is_the_sudo_callers", &[Need::Sudo], of_caller),
        trial(
            "an_unwritable_one_does_not_stop_a_download",
            &[],
            unwritable,
        ),
        trial("private_modules_are_not_in_it", &[], private),
        trial("its_size_is_the_callers_to_choose", &[], sized),
        trial("its_owner_can_look_at_it_and_clear_it", &[], commands),
    ]
}

/// A run in the project, with further options and words of the environment.
fn start(
    name: &str,
    project: &Project<'_>,
    options: &[&str],
    environment: &[(&str, &str)],
) -> Traced {
    let mut command = project.command(&newest_go(), product::path());
    command.envs(environment.iter().copied());
    let scratch = Scratch::new(&format!("store::{name}"));
    Traced::carried_in(scratch, command, options, DOWNLOAD)
}

fn run(name: &str, project: &Project<'_>) -> Outcome {
    let outcome = start(name, project, &[], &[]).finish();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    assert_eq!(outcome.report["mode"], "accelerate", "{}", outcome.stderr);
    outcome
}

fn store_of(project: &Project<'_>) -> PathBuf {
    project.home().join(".cache/gomod-trace")
}

/// All regular files below a directory, relative to it.
fn walk(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path);
        }
    }
    files
}

fn kept(project: &Project<'_>, extension: &str) -> Vec<PathBuf> {
    let mut files = walk(&store_of(project).join("download"));
    files.retain(|file| file.extension().is_some_and(|is| is == extension));
    files.sort();
    files
}

fn ends(path: &str, extensions: &[&str]) -> bool {
    extensions.iter().any(|extension| path.ends_with(extension))
}

/// Zip and go.mod files that upstream was asked for since its log had so many entries.
fn fetched(lab: &Lab, since: usize) -> Vec<String> {
    let requests = lab.requests().into_iter().skip(since);
    requests
        .map(|request| request.path)
        .filter(|path| ends(path, &[".zip", ".mod"]))
        .collect()
}

/// All module files came from the store, and nothing else did.
fn came_from_the_store(outcome: &Outcome, lab: &Lab, since: usize) {
    assert_eq!(fetched(lab, since), Vec::<String>::new());
    let requests = outcome.list("requests");
    assert_eq!(requests.len(), 3 * lab.modules().len());
    for request in requests {
        let is_kept = ends(request["path"].as_str().unwrap(), &[".zip", ".mod"]);
        assert_eq!(request["source"] == "store", is_kept, "{request}");
        assert_eq!(request["status"], 200, "{request}");
        assert!(!request["done_ms"].is_null(), "not whole: {request}");
    }
    assert!(
        outcome.stderr.contains(" from the store") && !outcome.stderr.contains("not completed"),
        "{}",
        outcome.stderr
    );
}

fn second_run() {
    let lab = Lab::builder().start().unwrap();
    let project = lab.project().unwrap();
    run("first", &project);
    let modules = lab.modules().len();
    for extension in ["zip", "mod", "info"] {
        assert_eq!(kept(&project, extension).len(), modules, "{extension}");
    }
    // What is kept is what the module proxy serves, to the byte.
    for zip in kept(&project, "zip") {
        let below = zip.strip_prefix(store_of(&project)).unwrap();
        let of_go = project.module_cache().join("cache").join(below);
        assert!(fs::read(&zip).unwrap() == fs::read(of_go).unwrap());
    }
    project.clear_module_cache().unwrap();
    let since = lab.requests().len();
    let outcome = run("second", &project);
    came_from_the_store(&outcome, &lab, since);
    // Go had the proxy's own answers about versions, not what can be derived from their names.
    assert_eq!(lab.requests().len() - since, modules);
}

fn no_prefetch() {
    let lab = Lab::builder().start().unwrap();
    let project = lab.project().unwrap();
    let outcome = start("unasked", &project, &["--no-prefetch"], &[]).finish();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    project.clear_module_cache().unwrap();
    let since = lab.requests().len();
    came_from_the_store(&run("after_unasked", &project), &lab, since);
}

/// `go` itself, with nothing but the store.
fn offline(project: &Project<'_>, words: &[&str]) -> Output {
    let proxy = format!("file://{}/download", store_of(project).display());
    let mut command = project.go(&newest_go(), words);
    command.env("GOPROXY", proxy).output().unwrap()
}

fn plain_go() {
    let lab = Lab::builder().start().unwrap();
    let project = lab.project().unwrap();
    let empty = offline(&project, &["mod", "download"]);
    assert!(
        !empty.status.success(),
        "there was nothing to download from"
    );
    let outcome = run("plain_go", &project);
    let told = &outcome.report["connections"];
    let mods = kept(&project, "mod").len();
    assert_eq!(mods, lab.modules().len(), "{}{told}", outcome.stderr);
    project.clear_module_cache().unwrap();
    let since = lab.requests().len();
    let output = offline(&project, &["mod", "download"]);
    assert!(output.status.success(), "{output:?}");
    let output = offline(&project, &["mod", "verify"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(lab.requests().len(), since);
}

fn damaged() {
    let lab = Lab::builder().start().unwrap();
    let project = lab.project().unwrap();
    run("before", &project);
    let zip = &kept(&project, "zip")[0];
    let whole = fs::read(zip).unwrap();
    let mut changed = whole.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    fs::write(zip, changed).unwrap();
    project.clear_module_cache().unwrap();
    let since = lab.requests().len();
    run("after", &project);
    assert_eq!(fetched(&lab, since).len(), 1);
    assert!(fs::read(zip).unwrap() == whole);
}

/// A project whose go.sum says something else of one zip than the proxy has: to `go` and to us, the zip is wrong.
fn wrong_zip() {
    let lab = Lab::builder().start().unwrap();
    let project = lab.project().unwrap();
    let file = project.directory().join("go.sum");
    let sums = fs::read_to_string(&file).unwrap();
    let module = &lab.modules()[0];
    let start = format!("{} {} ", module.path, module.version);
    let line = sums.lines().find(|line| line.starts_with(&start)).unwrap();
    let wrong = format!("{start}h1:G7mAYYxgmS0lVkHyy2hEOLQCFB0DlQFTMLWggykrydA=");
    fs::write(&file, sums.replace(line, &wrong)).unwrap();
    let outcome = start_and_fail("wrong", &project);
    assert!(
        outcome.stderr.contains("checksum mismatch"),
        "{}",
        outcome.stderr
    );
    is_not_kept(&project, &module.escaped_path(), &module.version);
    assert!(!kept(&project, "mod").is_empty(), "the others are kept");
}

fn start_and_fail(name: &str, project: &Project<'_>) -> Outcome {
    let outcome = start(name, project, &[], &[]).finish();
    assert!(!outcome.status.success(), "{}", outcome.stderr);
    outcome
}

fn is_not_kept(project: &Project<'_>, escaped: &str, version: &str) {
    for tree in ["download", "sums"] {
        let directory = store_of(project).join(tree).join(escaped);
        let zip = directory.join(format!("@v/{version}.zip"));
        assert!(!zip.exists(), "{}", zip.display());
    }
}

fn cut_zip() {
    let fault = "body-cut".parse::<gomod_lab::Fault>().unwrap();
    let lab = Lab::builder().fault(fault).start().unwrap();
    let project = lab.project().unwrap();
    let outcome = start("cut", &project, &[], &[]).finish();
    assert!(!lab.acts().is_empty(), "{}", outcome.stderr);
    let checked = cache(&project, &["verify"]);
    assert!(checked.status.success(), "{checked:?}");
    // However the download went: each zip that is kept is the one that the proxy has.
    lab.clear_faults().unwrap();
    project.clear_module_cache().unwrap();
    run("mended", &project);
    for zip in kept(&project, "zip") {
        let below = zip.strip_prefix(store_of(&project)).unwrap();
        let of_go = project.module_cache().join("cache").join(below);
        assert!(fs::read(&zip).unwrap() == fs::read(of_go).unwrap());
    }
}

fn at_once() {
    let lab = Lab::builder().start().unwrap();
    let [one, other] = [lab.project().unwrap(), lab.project().unwrap()];
    let cache = Scratch::new("store::shared");
    let environment = [("XDG_CACHE_HOME", cache.path().to_str().unwrap())];
    let runs = [("one", &one), ("other", &other)]
        .map(|(name, project)| start(name, project, &[], &environment));
    for run in runs {
        let outcome = run.finish();
        assert!(outcome.status.success(), "{}", outcome.stderr);
        assert!(
            !outcome.stderr.contains("not all files were kept"),
            "{}",
            outcome.stderr
        );
    }
    one.clear_module_cache().unwrap();
    let since = lab.requests().len();
    let outcome = start("afterwards", &one, &[], &environment).finish();
    came_from_the_store(&outcome, &lab, since);
}

fn of_caller() {
    let user = User::create("s");
    let lab = Lab::builder().start().unwrap();
    let project = lab.project().unwrap().owned_by(user.identity).unwrap();
    let scratch = Scratch::new("store::of_caller");
    let product = product::path();
    let words = ["-n", "-E", product.to_str().unwrap()];
    let mut sudo = project.command(&newest_go(), "sudo");
    sudo.args(words);
    let outcome = Traced::carried_in(scratch, sudo, &[], DOWNLOAD).finish();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    let store = store_of(&project);
    let files = walk(&store);
    assert_eq!(files.len(), 5 * lab.modules().len());
    for path in files.iter().flat_map(|file| file.ancestors()) {
        if !path.starts_with(&store) {
            continue;
        }
        let metadata = fs::symlink_metadata(path).unwrap();
        let owner = (metadata.uid(), metadata.gid());
        let identity = (user.identity.uid, user.identity.gid);
        assert_eq!(owner, identity, "{}", path.display());
        assert_eq!(metadata.mode() & 0o022, 0, "{}", path.display());
    }
    // The caller looks at it without sudo; under sudo it's the caller's, too.
    let mut plain = project.command(&newest_go(), product::path());
    let plain = plain.args(["cache", "path"]).output().unwrap();
    let mut sudo = project.command(&newest_go(), "sudo");
    let sudo = sudo.args(words).args(["cache", "path"]).output().unwrap();
    let expected = format!("{}\n", store.display());
    for output in [plain, sudo] {
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            expected,
            "{output:?}"
        );
    }
}

fn unwritable() {
    let lab = Lab::builder().start().unwrap();
    let project = lab.project().unwrap();
    // Not even root can make a directory in a file.
    let file = project.root().join("file");
    fs::write(&file, "").unwrap();
    let environment = [("XDG_CACHE_HOME", file.to_str().unwrap())];
    let outcome = start("unwritable", &project, &[], &environment).finish();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    assert_eq!(outcome.report["mode"], "accelerate");
    let lines = outcome.stderr.lines();
    let said = lines
        .filter(|line| line.contains("not kept"))
        .collect::<Vec<_>>();
    assert_eq!(said.len(), 1, "{}", outcome.stderr);
    assert!(said[0].contains("Not a directory"), "{}", said[0]);

    // One that belongs to somebody else is not trusted.
    let foreign = project.root().join("foreign");
    fs::create_dir_all(foreign.join("gomod-trace")).unwrap();
    let everybody = fs::Permissions::from_mode(0o777);
    fs::set_permissions(foreign.join("gomod-trace"), everybody).unwrap();
    project.clear_module_cache().unwrap();
    let environment = [("XDG_CACHE_HOME", foreign.to_str().unwrap())];
    let outcome = start("foreign", &project, &[], &environment).finish();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("others may write to it"),
        "{}",
        outcome.stderr
    );
    assert_eq!(walk(&foreign), Vec::<PathBuf>::new());
}

/// Modules that match GOPRIVATE, although the proxy is asked for them.
fn private() {
    let lab = Lab::builder().start().unwrap();
    let project = lab.project().unwrap();
    let module = lab.modules()[0].clone();
    let environment = [("GOPRIVATE", module.path.as_str()), ("GONOPROXY", "none")];
    let outcome = start("private", &project, &[], &environment).finish();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    is_not_kept(&project, &module.escaped_path(), &module.version);
    assert_eq!(kept(&project, "zip").len(), lab.modules().len() - 1);
    assert!(
        lab.requests().iter().any(|request| {
            request.path.contains(&module.path) && ends(&request.path, &[".zip"])
        })
    );
}

fn sized() {
    let lab = Lab::builder().start().unwrap();
    let project = lab.project().unwrap();
    let outcome = start("none", &project, &["--cache-size", "0"], &[]).finish();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    assert!(!store_of(&project).exists());

    project.clear_module_cache().unwrap();
    let zip = &lab.modules()[0];
    let of_go = project.module_cache().join("cache/download");
    let outcome = start("large", &project, &[], &[]).finish();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    let largest = of_go.join(zip.escaped_path());
    let largest = largest.join(format!("@v/{}.zip", zip.version));
    let room = 3 * fs::metadata(largest).unwrap().len();
    fs::remove_dir_all(store_of(&project)).unwrap();
    project.clear_module_cache().unwrap();
    let room = room.to_string();
    let environment = [("GOMOD_TRACE_CACHE_SIZE", room.as_str())];
    let outcome = start("small", &project, &[], &environment).finish();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    let files = walk(&store_of(&project));
    let bytes: u64 = files
        .iter()
        .map(|file| fs::metadata(file).unwrap().len())
        .sum();
    assert!(!files.is_empty());
    assert!(bytes <= room.parse().unwrap(), "{bytes} of {room}");
}

/// `gomod-trace cache …` in the project's environment.
fn cache(project: &Project<'_>, words: &[&str]) -> Output {
    let mut command: Command = project.command(&newest_go(), product::path());
    command.arg("cache").args(words).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn commands() {
    let lab = Lab::builder().start().unwrap();
    let project = lab.project().unwrap();
    for words in [["size"], ["verify"], ["prune"], ["clear"]] {
        let output = cache(&project, &words);
        assert!(output.status.success(), "{output:?}");
        assert!(text(&output).contains("there is no store"), "{output:?}");
    }
    assert!(!store_of(&project).exists());
    run("commands", &project);
    let modules = lab.modules().len();
    let size = text(&cache(&project, &["size"]));
    assert!(size.contains(&format!("modules {modules}\n")), "{size}");
    assert!(size.contains("limit   5368709120 (5.0 GiB)\n"), "{size}");

    let verified = cache(&project, &["verify"]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
    let right = format!("{} files are right, 0 were not\n", 2 * modules);
    assert_eq!(text(&verified), right);
    fs::write(&kept(&project, "mod")[0], "module another\n").unwrap();
    let verified = cache(&project, &["verify"]);
    assert_eq!(verified.status.code(), Some(1), "{verified:?}");
    assert!(
        text(&verified).starts_with("removed download/"),
        "{verified:?}"
    );
    assert_eq!(cache(&project, &["verify"]).status.code(), Some(0));

    let pruned = cache(&project, &["prune", "--size", "1KiB"]);
    assert!(text(&pruned).starts_with("removed "), "{pruned:?}");
    let left: u64 = walk(&store_of(&project))
        .iter()
        .map(|file| fs::metadata(file).unwrap().len())
        .sum();
    assert!(left <= 1024, "{left}");
    let cleared = cache(&project, &["clear"]);
    assert!(cleared.status.success(), "{cleared:?}");
    assert_eq!(walk(&store_of(&project)), Vec::<PathBuf>::new());

    let mut wrong = project.command(&newest_go(), product::path());
    wrong.env("GOMOD_TRACE_CACHE_SIZE", "plenty");
    let wrong = wrong.args(["cache", "size"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert!(said.contains("GOMOD_TRACE_CACHE_SIZE=\"plenty\""), "{said}");
}
