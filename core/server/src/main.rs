//! The binary `synod`: what an operator starts, asks and stops. Configuration, logs, metrics, command line; the engine
//! is [`synod_node`], the machine is [`synod_real`].
//!
//! | file | what |
//! |---|---|
//! | `cli` | commands and flags |
//! | `settings` | `synod serve`: the TOML file and the flags that override it |
//! | `properties` | Java's properties format |
//! | `zoo_cfg` | `synod zookeeper`: a member from ZooKeeper's own configuration |
//! | `serving` | a member from its start to its end |
//! | `admin` | `/health`, `/ready`, `/metrics`, `/status` over HTTP |
//! | `metrics` | the text of `/metrics` |
//! | `status` | `synod status` and `synod members`: ask members, print a table |
//! | `inspect` | `synod log inspect` |
//! | `failure` | what ends the program, with its exit code |
//!
//! Not in it: anything that members agree on.

mod admin;
mod cli;
mod failure;
mod inspect;
mod metrics;
mod properties;
mod serving;
mod settings;
mod status;
mod zoo_cfg;

use clap::Parser;
use cli::{Cli, Command, LogCommand};
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe is no reason to fail.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { failure::USAGE } else { 0 });
        }
    };
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("synod: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(flags) => serving::serve(settings::plan(flags)?),
        Command::Zookeeper(flags) => {
            let (plan, unused) = zoo_cfg::plan(&flags)?;
            for line in unused {
                eprintln!("{line}");
            }
            serving::serve(plan)
        }
        Command::Status(asked) => status::print_status(&asked.admin),
        Command::Members(asked) => status::print_members(&asked.admin),
        Command::Log(LogCommand::Inspect { folder }) => inspect::print(&folder),
    }
}
