//! A real purchase history: 69,659 purchases of CDs in, three read models out. Exact money, because it is a decimal.
//!
//! `cargo run --release --example cdnow [FOLDER] [--file FILE] [--skip-malformed]`: a second run on the same folder answers from the
//! checkpoint.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use comfy_table::Table as Printed;
use cqrs_core::prelude::*;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::civil::Date;
use rust_decimal::Decimal;

#[event]
#[derive(Debug)]
pub struct Purchased {
    pub customer: u32,
    pub date: Date,
    pub cds: u32,
    pub dollars: Decimal,
}

/// Recency, frequency and monetary value: what marketing asks of a customer.
#[projection(from = Purchased, group_by = customer)]
#[derive(Debug)]
pub struct CustomerValue {
    pub customer: u32,
    #[max(date)]
    pub last_purchase: Date,
    #[count]
    pub purchases: u64,
    #[sum(dollars)]
    pub dollars: Decimal,
    #[avg(cds)]
    pub cds_each_time: f64,
}

#[projection(from = Purchased, group_by = (month = date.first_of_month()))]
#[derive(Debug)]
pub struct MonthlyRevenue {
    pub month: Date,
    #[sum]
    pub dollars: Decimal,
}

#[projection(from = Purchased, group_by = ())]
#[derive(Debug)]
pub struct Totals {
    #[count]
    pub purchases: u64,
    #[sum]
    pub cds: u64,
    #[sum]
    pub dollars: Decimal,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read()?;
    let engine = Engine::open(&arguments.folder)?
        .view::<CustomerValue>()
        .view::<MonthlyRevenue>()
        .view::<Totals>()
        .start()?;
    engine.wait_ready().wait()?;

    let health = engine.health();
    let purchases = read_history(&arguments)?;
    let known = usize::try_from(health.position)?;
    if known == purchases.len() {
        let checkpoint = health.views.iter().filter_map(|view| view.checkpoint).map(|at| at.position).min();
        let replayed = health.position - checkpoint.unwrap_or(0);
        println!(
            "Answered from the checkpoint at position {}: {replayed} events replayed.",
            checkpoint.unwrap_or(0)
        );
    } else {
        let bar = ProgressBar::new(purchases.len() as u64)
            .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec}")?);
        bar.set_position(health.position);
        // Each line is one event, so the log says where an import that was broken off has to go on.
        let mut rest = purchases.into_iter().skip(known).peekable();
        while rest.peek().is_some() {
            let receipt = engine.append_all(rest.by_ref().take(1_000)).durable().wait()?;
            bar.set_position(receipt.last);
        }
        bar.finish();
        let receipt = engine.append_all(Vec::<Purchased>::new()).wait()?;
        println!("Imported {} purchases.", receipt.last);
    }

    print(&engine)?;
    engine.close().wait()?;
    Ok(())
}

fn print(engine: &Engine) -> Result<(), Box<dyn Error>> {
    let customers = engine.view::<CustomerValue>();
    let mut best: Vec<_> = customers.rows()?.collect();
    best.sort_by_key(|customer| (std::cmp::Reverse(customer.dollars), customer.customer));
    let mut table = Printed::new();
    table.set_header(["customer", "last purchase", "purchases", "CDs each time", "dollars"]);
    for row in best.iter().take(5) {
        table.add_row([
            row.customer.to_string(),
            row.last_purchase.to_string(),
            row.purchases.to_string(),
            format!("{:.2}", row.cds_each_time),
            row.dollars.to_string(),
        ]);
    }
    println!("\nThe customers who spent most:\n{table}");

    let mut months: Vec<_> = engine.view::<MonthlyRevenue>().rows()?.collect();
    months.sort_by_key(|row| row.month);
    let mut table = Printed::new();
    table.set_header(["month", "dollars"]);
    for row in months {
        table.add_row([row.month.strftime("%Y-%m").to_string(), row.dollars.to_string()]);
    }
    println!("\nRevenue:\n{table}");

    if let Some(totals) = engine.view::<Totals>().get(())? {
        println!(
            "\n{} purchases by {} customers: {} CDs for {} dollars.",
            totals.purchases,
            best.len(),
            totals.cds,
            totals.dollars
        );
    }
    Ok(())
}

/// All purchases of the file, or every line that is wrong.
fn read_history(arguments: &Arguments) -> Result<Vec<Purchased>, Box<dyn Error>> {
    let file = &arguments.file;
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut purchases = Vec::new();
    let mut malformed = 0;
    for (number, line) in text.lines().enumerate().skip(1) {
        match parse(line) {
            Ok(purchase) => purchases.push(purchase),
            Err(reason) => {
                malformed += 1;
                eprintln!("{}:{}: {reason}", file.display(), number + 1);
            }
        }
    }
    if malformed > 0 && !arguments.skip_malformed {
        return Err(format!(
            "{malformed} malformed lines, nothing imported; pass over them with --skip-malformed"
        )
        .into());
    }
    Ok(purchases)
}

fn parse(line: &str) -> Result<Purchased, String> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let [customer, date, cds, dollars] = fields.as_slice() else {
        return Err(format!("expected 4 columns, found {}", fields.len()));
    };
    Ok(Purchased {
        customer: customer.parse().map_err(|error| format!("customer `{customer}`: {error}"))?,
        date: Date::strptime("%Y%m%d", date).map_err(|error| format!("date `{date}`: {error}"))?,
        cds: cds.parse().map_err(|error| format!("number of CDs `{cds}`: {error}"))?,
        dollars: dollars.parse().map_err(|error| format!("dollars `{dollars}`: {error}"))?,
    })
}

struct Arguments {
    folder: PathBuf,
    file: PathBuf,
    skip_malformed: bool,
}

impl Arguments {
    fn read() -> Result<Self, Box<dyn Error>> {
        let mut folder = None;
        let mut file = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/cdnow.txt");
        let mut skip_malformed = false;
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--skip-malformed" => skip_malformed = true,
                "--file" => file = arguments.next().ok_or("--file needs a path")?.into(),
                option if option.starts_with('-') => return Err(format!("unknown option {option}").into()),
                path => folder = Some(PathBuf::from(path)),
            }
        }
        let folder = match folder {
            Some(folder) => folder,
            None => tempfile::Builder::new().prefix("cdnow-").tempdir()?.keep(),
        };
        Ok(Self { folder, file, skip_malformed })
    }
}
