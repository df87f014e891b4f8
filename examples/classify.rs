//! Classifies the species of iris: Fisher's 150 flowers, four lengths of each in cm, and a network
//! of eight hidden units, trained with cross entropy.
//!
//! A fifth of the flowers is kept for validation. Inputs are standardised by mean and standard
//! deviation of the training part; training stops when the validation loss has not fallen for 100
//! epochs. With `plot`, the losses are drawn.
//!
//! ```text
//! cargo run --release --example classify
//! cargo run --release --features plot --example classify
//! cargo run --release --example classify -- save
//! ```
//!
//! `save` writes `data/iris.bin`: scales and parameters, which a board holds in flash. On a
//! Cortex-M4F, classifying takes 9.9 KB of flash, this record included, and 2.9 KB of RAM
//! (`embedded/budget.sh`).

use std::error::Error;

use baregrad::calibrate::Scale;
use baregrad::nn::init;
use baregrad::optim::Adam;
use baregrad::random::seeded;
use baregrad::record::Writer;
use baregrad::train::{self, Dataset, EarlyStopping, Fit, Fitted, Model, Param, Scaler, Scaling};

const SPECIES: [&str; 3] = ["setosa", "versicolor", "virginica"];
const LENGTHS: [&str; 4] = ["sepal_length", "sepal_width", "petal_length", "petal_width"];
const UNITS: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let data = iris()?;
    let (training, validation) = data.split(0.2, 3)?;
    let scaler = Scaler::fit(&training, &LENGTHS.map(|name| (name, Scaling::Standard)))?;
    let samples = |part: &Dataset| scaler.apply(part)?.samples(&LENGTHS, &["class"]);
    let (training, validation) = (samples(&training)?, samples(&validation)?);

    let network = train::model(start(), |x, [w1, b1, w2, b2]| {
        x.linear_tanh(w1, b1).linear(w2, b2)
    });
    let count = network.params().iter().map(|p| p.values().len()).sum();
    let fitted = Fit::new(&network, &training)
        .validation(&validation)
        // Targets are [n, 1]; `cross_entropy` takes a class for each row, [n].
        .loss(|logits, class| logits.cross_entropy(class.reshape([-1])))
        .epochs(1000)
        .early_stopping(EarlyStopping::new(100))
        .run(&mut Adam::on_heap(1e-2, count))?;
    println!("{}", fitted.history().last());
    println!("{}\n", fitted.verdict());

    for (name, samples) in [("training", &training), ("validation", &validation)] {
        let logits = fitted.predict(&network, samples.x())?;
        let predicted = logits.chunks_exact(SPECIES.len()).map(likeliest);
        let mut confusion = [[0; SPECIES.len()]; SPECIES.len()];
        for (class, predicted) in samples.y().iter().zip(predicted) {
            let row = confusion.get_mut(*class as usize).ok_or("a class")?;
            *row.get_mut(predicted).ok_or("a class")? += 1;
        }
        show(name, &confusion);
    }

    let mut bytes = [0; 1024];
    let record = record(&fitted, &scaler, &mut bytes)?;
    println!(
        "{count} parameters, a record of {} bytes for a board's flash",
        record.len()
    );
    if std::env::args().nth(1).as_deref() == Some("save") {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/iris.bin");
        std::fs::write(file, record)?;
    } else if record != include_bytes!("data/iris.bin") {
        return Err("training gave other bits than data/iris.bin holds".into());
    }
    draw(&fitted)
}

/// Reads the flowers from CSV without the feature `csv`.
fn iris() -> Result<Dataset, Box<dyn Error>> {
    let text = include_str!("data/iris.csv");
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let names = lines.next().ok_or("a line of names")?.split(',');
    let rows: Vec<Vec<f32>> = lines
        .map(|line| line.split(',').map(str::parse).collect())
        .collect::<Result<_, _>>()?;
    let column = |k: usize| rows.iter().filter_map(|row| row.get(k).copied()).collect();
    let columns = names.enumerate().map(|(k, name)| (name, column(k)));
    let columns: Vec<(&str, Vec<f32>)> = columns.collect();
    Ok(Dataset::new(columns)?)
}

/// Returns the parameters, with the initialization of PyTorch's `nn.Linear`.
fn start() -> [Param; 4] {
    let mut rng = seeded(1);
    let mut drawn = |inputs: usize, count: usize| {
        let mut values = vec![0.0; count];
        init::linear(&mut rng, inputs, &mut values);
        values
    };
    let (inputs, classes) = (LENGTHS.len(), SPECIES.len());
    [
        Param::new("0.weight", drawn(inputs, inputs * UNITS), [inputs, UNITS]),
        Param::new("0.bias", drawn(inputs, UNITS), [UNITS]),
        Param::new("2.weight", drawn(UNITS, UNITS * classes), [UNITS, classes]),
        Param::new("2.bias", drawn(UNITS, classes), [classes]),
    ]
}

/// Returns the class with the largest logit.
fn likeliest(logits: &[f32]) -> usize {
    let classes = logits.iter().enumerate();
    let likeliest = classes.max_by(|(_, a), (_, b)| a.total_cmp(b));
    likeliest.map_or(0, |(class, _)| class)
}

/// Prints the accuracy, and the confusion matrix: a row for each species, a column for each
/// predicted one.
fn show(name: &str, confusion: &[[u32; SPECIES.len()]]) {
    let right: u32 = (confusion.iter().enumerate())
        .filter_map(|(k, row)| row.get(k))
        .sum();
    let all: u32 = confusion.as_flattened().iter().sum();
    let percent = 100.0 * f64::from(right) / f64::from(all);
    println!("{name}: {right} of {all} right, {percent:.1} %");
    println!(
        "{:12}{:>12}{:>12}{:>12}",
        "", SPECIES[0], SPECIES[1], SPECIES[2]
    );
    for (species, [a, b, c]) in SPECIES.iter().zip(confusion) {
        println!("{species:12}{a:>12}{b:>12}{c:>12}");
    }
    println!();
}

/// Writes the record of the scales and the parameters, which `embedded/jobs` reads on a board.
fn record<'b>(
    fitted: &Fitted,
    scaler: &Scaler,
    bytes: &'b mut [u8],
) -> Result<&'b [u8], Box<dyn Error>> {
    let mut writer = Writer::new(bytes);
    let scales = LENGTHS.map(|name| scaler.scale(name).unwrap_or(Scale::ONE));
    let count = LENGTHS.len();
    writer.array("offset", [count], scales.iter().map(|s| s.offset.to_f32()));
    writer.array("factor", [count], scales.iter().map(|s| s.factor));
    for param in fitted.named_params() {
        writer.array(param.name(), param.shape(), param.values().iter().copied());
    }
    Ok(writer.finish()?)
}

/// Draws the losses.
#[cfg(feature = "plot")]
fn draw(fitted: &Fitted) -> Result<(), Box<dyn Error>> {
    let pictures = std::path::Path::new("target/classify");
    std::fs::create_dir_all(pictures)?;
    let file = pictures.join("losses.svg");
    train::plot::losses(
        &file,
        "Iris: cross entropy by epoch",
        &[("iris", fitted.history())],
    )?;
    println!("{}", file.display());
    Ok(())
}

/// Draws nothing without the feature `plot`.
#[cfg(not(feature = "plot"))]
fn draw(_: &Fitted) -> Result<(), Box<dyn Error>> {
    Ok(())
}
