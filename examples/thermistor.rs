//! Calibrates a thermistor in a bath: fits the Steinhart–Hart equation by Levenberg–Marquardt, and
//! prints standard errors, the resistance at 25 °C, and the function as Rust or C for firmware.
//!
//! ```text
//! cargo run --release --example thermistor            # the results
//! cargo run --release --example thermistor -- rust    # the fitted function as Rust
//! cargo run --release --example thermistor -- c       # as C99
//! ```

use std::error::Error;

use baregrad::function::models::SteinhartHart;
use baregrad::function::source::Source;
use baregrad::least_squares::{CurveFit, LevenbergMarquardt};

/// Resistances in Ω of a thermistor of 10 kΩ, and readings of a thermometer beside it in °C, to
/// 0.01 °C.
const BATH: [[f32; 2]; 12] = [
    [32_624.0, 0.02],
    [25_372.0, 5.01],
    [19_893.0, 9.98],
    [15_717.0, 15.01],
    [12_495.0, 20.00],
    [9_998.0, 25.02],
    [8_056.0, 29.99],
    [6_532.0, 34.98],
    [5_325.0, 40.01],
    [4_370.0, 44.99],
    [3_603.0, 50.01],
    [2_488.0, 59.99],
];

fn main() -> Result<(), Box<dyn Error>> {
    let (r, t) = (BATH.map(|[r, _]| r), BATH.map(|[_, t]| t));
    let range = [2_400.0, 33_000.0];
    let start = [1e-3, 2e-4, 1e-7];
    // Residuals of a hundredth of a degree are small beside 300 K, so they are computed in pairs
    // of `f32`, which keep their digits.
    let readings = CurveFit::new(SteinhartHart, &r, &t).in_pairs();
    let solution = LevenbergMarquardt::new(start).run(&readings);
    if !solution.is_converged() {
        return Err(solution.status().to_string().into());
    }
    let source = Source::fitted::<SteinhartHart, 1, 3>(solution.params()).range([range]);
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("rust") => {
            print!("{}", source.rust());
            return Ok(());
        }
        Some("c") => {
            print!("{}", source.c());
            return Ok(());
        }
        Some(other) => return Err(format!("expected rust or c, found {other}").into()),
    }

    println!("Steinhart–Hart, {}:", solution.status());
    let errors = solution
        .standard_errors()
        .ok_or("the readings do not determine all of it")?;
    for ((name, param), error) in ["a", "b", "c"].iter().zip(solution.params()).zip(errors) {
        println!("  {name} {param:.5e} ± {error:.1e}");
    }
    let goodness = solution.goodness(&t, &[])?;
    println!(
        "residual standard deviation {:.4} °C, 1 - R² {:.1e}\n",
        solution.residual_standard_deviation(),
        goodness.unexplained()
    );

    println!("      R         T    fitted     curve, 95 %   reading, 95 %");
    for [r, t] in BATH {
        let mean = solution.mean_at::<SteinhartHart, 1>([r])?;
        let reading = solution.reading_at::<SteinhartHart, 1>([r], 1.0)?;
        let half = |[from, to]: [f32; 2]| 0.5 * (to - from);
        println!(
            "{r:7} Ω {t:7.2} °C {:7.3} °C   ± {:.3} °C      ± {:.3} °C",
            mean.value(),
            half(mean.interval(0.95)?),
            half(reading.interval(0.95)?)
        );
    }

    let at_25 = solution.input_for::<SteinhartHart>(25.0, 0.0, range)?;
    let [from, to] = at_25.interval(0.95)?;
    println!(
        "\n25 °C are {:.1} Ω ± {:.1} Ω; {from:.1} to {to:.1} Ω with 95 %",
        at_25.value(),
        at_25.standard_error()
    );
    match solution.input_for::<SteinhartHart>(85.0, 0.0, range) {
        Ok(input) => println!("85 °C are {:.1} Ω", input.value()),
        Err(error) => println!("85 °C: {error}"),
    }
    Ok(())
}
