//! `cqrs` looks into a store without the program that wrote it, and while that has it open.
//!
//! `main` is the arguments and the exit codes; what is shown is in the modules, one a subject.

mod args;
mod events;
mod failure;
mod json;
mod store;
mod table;
mod views;

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Parser;

use self::args::{Args, Show};
use self::failure::Done;

fn main() -> ExitCode {
    let args = Args::parse();
    let mut out = BufWriter::new(io::stdout().lock());
    let done = run(&args.show, &mut out).and_then(|()| Ok(out.flush()?));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // What came before it, as far as somebody reads it.
            let _ = out.flush();
            failure.say();
            failure.code()
        }
    }
}

fn run(show: &Show, out: &mut dyn Write) -> Done {
    match show {
        Show::Types { folder } => events::types(folder, out),
        Show::Events(which) => events::events(which, out),
        Show::Views { folder } => views::views(folder, out),
        Show::Rows { folder, view, limit, json } => views::rows(folder, view, *limit, *json, out),
        Show::Sources { folder } => store::sources(folder, out),
        Show::Reactions { folder } => store::reactions(folder, out),
        Show::Parked { folder, reaction } => store::parked(folder, reaction, out),
        Show::Verify { folder } => store::verify(folder, out),
        Show::Backup { folder, to } => store::backup(folder, to, out),
        Show::Salvage { from, to } => store::salvage(from, to, out),
    }
}
