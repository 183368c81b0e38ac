// SPDX-License-Identifier: MIT OR Apache-2.0
//! The launched command against real processes: sudo, signals, terminals, cgroups. Needs root, cgroup v2 and sudo.
//!
//! The test executable is its own helper: called with `--probe` it runs a command as `gomod-trace run` does.
#![expect(clippy::unwrap_used, reason = "a test panics on failure")]

#[path = "launch/bench.rs"]
mod bench;
#[path = "launch/identity.rs"]
mod identity;
#[path = "launch/lifetime.rs"]
mod lifetime;
#[path = "launch/module_proxy.rs"]
mod module_proxy;
#[path = "launch/overlay.rs"]
mod overlay;
#[path = "launch/probe.rs"]
mod probe;
#[path = "launch/terminal.rs"]
mod terminal;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let mut words = std::env::args_os().skip(1);
    match words.next().as_deref().and_then(|word| word.to_str()) {
        Some("--probe") => probe::run(words),
        Some("--odd-environment") => probe::with_odd_environment(words),
        Some("--count-interrupts") => probe::count_signal(words),
        _ => {}
    }
    let arguments = Arguments::from_args();
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("these tests make cgroups and users: run them as root");
    }
    let tests: [(&str, fn()); 38] = [
        (
            "plain_root_keeps_its_environment_byte_for_byte",
            identity::plain_environment,
        ),
        (
            "sudo_gives_the_callers_identity_and_groups",
            identity::sudo_identity,
        ),
        (
            "sudo_gives_the_environment_it_was_given",
            identity::sudo_environment,
        ),
        (
            "programs_between_sudo_and_us_do_not_matter",
            identity::between,
        ),
        (
            "a_command_on_the_callers_path_is_found",
            identity::callers_path,
        ),
        (
            "files_belong_to_the_caller_with_the_callers_umask",
            identity::files,
        ),
        (
            "with_the_callers_file_rights_root_writes_what_the_caller_may",
            identity::file_rights,
        ),
        (
            "sudo_variables_without_sudo_mean_nothing",
            identity::forged_variables,
        ),
        (
            "resource_limits_are_the_callers_though_ours_are_raised",
            identity::limits,
        ),
        ("exit_codes_pass_through", lifetime::exit_codes),
        (
            "missing_and_forbidden_commands_end_as_in_a_shell",
            lifetime::command_errors,
        ),
        (
            "a_script_without_a_first_line_runs_in_a_shell",
            lifetime::bare_script,
        ),
        ("death_by_signal_passes_through", lifetime::deaths),
        ("sigterm_is_passed_on_once", lifetime::sigterm_once),
        (
            "inherited_signal_state_reaches_the_child",
            lifetime::signal_state,
        ),
        (
            "an_ignored_sigchld_does_not_lose_the_status",
            lifetime::ignored_sigchld,
        ),
        (
            "the_cgroup_is_joined_before_exec_and_removed",
            lifetime::cgroup_membership,
        ),
        ("nested_cgroups_are_removed", lifetime::nested_cgroups),
        ("survivors_are_moved_not_killed", lifetime::survivors),
        (
            "waiting_for_background_children_ends_with_them_or_by_a_signal",
            lifetime::waiting,
        ),
        (
            "a_crashed_run_is_swept_and_a_living_one_is_not",
            lifetime::sweep_after_crash,
        ),
        ("the_cgroup_has_its_id_and_level", lifetime::id_and_level),
        ("ctrl_c_reaches_the_child_exactly_once", terminal::ctrl_c),
        (
            "ctrl_c_reaches_the_child_once_under_sudo",
            terminal::ctrl_c_under_sudo,
        ),
        ("ctrl_z_stops_and_fg_continues_both", terminal::ctrl_z),
        (
            "we_stop_with_the_child_and_go_on_together",
            terminal::child_stops_alone,
        ),
        ("every_go_reads_the_covered_bundle", overlay::every_go),
        (
            "curl_and_git_read_the_covered_bundle",
            overlay::curl_and_git,
        ),
        ("ssl_cert_file_is_covered", overlay::certificate_file),
        (
            "a_missing_ssl_cert_file_leaves_the_directories",
            overlay::missing_certificate_file,
        ),
        (
            "ssl_cert_dir_is_read_in_its_order",
            overlay::certificate_directories,
        ),
        (
            "a_linked_bundle_is_covered_where_it_is",
            overlay::linked_bundle,
        ),
        (
            "a_directory_without_bundle_is_enough",
            overlay::directory_only,
        ),
        ("an_empty_directory_is_enough", overlay::empty_directory),
        (
            "without_any_place_the_command_runs_without_overlay",
            overlay::no_place,
        ),
        (
            "the_host_sees_nothing_of_an_overlay",
            overlay::host_unchanged,
        ),
        (
            "under_sudo_the_overlay_serves_the_user_and_shows_no_secret",
            overlay::under_sudo,
        ),
        (
            "what_was_exchanged_or_is_forbidden_is_not_covered",
            overlay::refused,
        ),
    ];
    let trials = tests
        .into_iter()
        .map(|(name, test)| {
            Trial::test(name, move || {
                test();
                Ok(())
            })
            .with_ignored_flag(!root)
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit();
}
