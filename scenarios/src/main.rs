//! The program `synod-sim`: what it understands, and how it ends. Results go to standard output, progress to standard
//! error; exit codes are in `exit`.

mod command;

use clap::{Parser, Subcommand};
use command::Failed;
use std::process::ExitCode;
use synod_scenarios::exit::Exit;

/// A seed is a million small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs the engine in a simulated world that tries to break it, and judges what its clients saw.
///
/// Exit codes: 0 everything held, 1 safety broken, 2 liveness broken, 3 undecided, 4 nondeterminism, 64 usage,
/// 70 internal.
#[derive(Parser)]
#[command(name = "synod-sim", version, max_term_width = 120)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(command::run::Arguments),
    Merge(command::merge::Arguments),
    Replay(command::replay::Arguments),
    Shrink(command::shrink::Arguments),
    Explain(command::explain::Arguments),
    Promote(command::promote::Arguments),
    Diff(command::diff::Arguments),
    Audit(command::audit::Arguments),
    Mutants(command::mutants::Arguments),
    Check(command::check::Arguments),
    Model(command::model::Arguments),
    #[command(hide = true)]
    Hashes(command::audit::HashesArguments),
    #[command(hide = true)]
    Events(command::audit::EventsArguments),
}

fn main() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Held };
            // Nothing is left to be told to someone who does not listen.
            let _ = error.print();
            return exit.into();
        }
    };
    let outcome = match line.command {
        Command::Run(arguments) => command::run::run(&arguments),
        Command::Merge(arguments) => command::merge::merge(&arguments),
        Command::Replay(arguments) => command::replay::replay(&arguments),
        Command::Shrink(arguments) => command::shrink::shrink(&arguments),
        Command::Explain(arguments) => command::explain::explain(&arguments),
        Command::Promote(arguments) => command::promote::promote(&arguments),
        Command::Diff(arguments) => command::diff::diff(&arguments),
        Command::Audit(arguments) => command::audit::audit(&arguments),
        Command::Mutants(arguments) => command::mutants::mutants(&arguments),
        Command::Check(arguments) => command::check::check(&arguments),
        Command::Model(arguments) => command::model::model(&arguments),
        Command::Hashes(arguments) => command::audit::hashes(&arguments),
        Command::Events(arguments) => command::audit::events(&arguments),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(Failed { exit, what }) => {
            eprintln!("synod-sim: {what}");
            exit.into()
        }
    }
}
