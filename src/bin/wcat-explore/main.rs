//! The program: reads what was typed, runs one command, turns its result into an exit code.

mod args;
mod cmd;
mod interrupt;
mod progress;
mod show;

use args::{Arguments, Command};
use clap::Parser;
use std::process::ExitCode;

/// Tensors come and go by the thousand: the system's allocator gives their pages back each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // candle's own thread pools only hurt: evaluations are spread over cores here. Set before any thread starts.
    std::env::set_var("CANDLE_NUM_THREADS", "1");
    std::env::set_var("RAYON_NUM_THREADS", "1");
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return show::usage(error),
    };
    if arguments.command.saves() {
        interrupt::saves();
    }
    match interrupt::listen().and_then(|()| run(&arguments)) {
        Ok(code) => code,
        Err(error) => show::failure(error, &arguments.command.sources()),
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if let Some(settings) = arguments.command.settings() {
        settings.choose_kernels()?;
    }
    let monitor = progress::start(&arguments.general)?;
    match &arguments.command {
        Command::Sweep(args) => cmd::sweep::run(args, &monitor),
        Command::Answer(args) => return cmd::answer::run(args, &monitor),
        Command::Explore(args) => cmd::explore::run(args, &monitor),
        Command::Train(args) => cmd::train::run(args, &monitor),
        Command::Quantize(args) => cmd::quantize::run(args, &monitor),
        Command::Pack(args) => cmd::pack::run(args, &monitor),
        Command::Export(args) => cmd::export::run(args, &monitor),
        Command::Eval(args) => cmd::eval::run(args, &monitor),
        Command::Attack(args) => cmd::attack::run(args, &monitor),
        Command::Memory(args) => cmd::memory::run(args, &monitor),
        Command::Pareto(args) => cmd::pareto::run(args, &monitor),
        Command::Publish(args) => cmd::publish::run(args, &monitor),
        Command::Inspect(args) => cmd::inspect::run(args, &monitor),
        Command::Data(args) => cmd::data::run(args, &monitor),
        Command::Slurm(args) => cmd::slurm::run(args, &arguments.general, &monitor),
        Command::Completions(args) => cmd::about::completions(args),
        Command::Man(args) => cmd::about::man(args),
    }?;
    monitor.finish();
    Ok(ExitCode::SUCCESS)
}
