//! The data of a fit by gradient descent or by least squares, taken from the file.

use std::error::Error;

use baregrad::train::{Curve, Dataset, Scale, Scaler};

use super::{Args, in_file, require_rows, split};

/// The training and validation samples of a fit by gradient descent, in the units of the
/// file, with the scales of the columns.
pub(super) struct Parts {
    pub(super) training: Dataset,
    pub(super) validation: Option<Dataset>,
    pub(super) scaler: Scaler,
}

impl Parts {
    pub(super) fn new(
        data: &Dataset,
        args: &Args,
        [x, y]: [&str; 2],
    ) -> Result<Self, Box<dyn Error>> {
        let curve = &args.model;
        let (training, validation) = split(args, data, args.validation.unwrap_or(0.2))?;
        // One row more than the curve can fit exactly.
        let needed = match curve {
            Curve::Mlp { .. } => 3,
            curve => curve.param_count() + 1,
        };
        require_rows(args, training.rows(), needed)?;
        let columns = [(x, curve.scaling()), (y, curve.output_scaling())];
        let scaler = Scaler::fit(&training, &columns).map_err(|why| in_file(args, &why))?;
        Ok(Parts {
            training,
            validation,
            scaler,
        })
    }

    /// The scale of a column.
    pub(super) fn scale(&self, column: &str) -> Result<Scale, Box<dyn Error>> {
        let scale = self.scaler.scale(column);
        scale.ok_or_else(|| format!("column `{column}` has no scale").into())
    }
}

/// The columns of a fit by least squares.
pub(super) struct Table {
    pub(super) x: Vec<Vec<f64>>,
    pub(super) y: Vec<f64>,
    /// The weights or the standard deviations, if given.
    pub(super) known: Option<Vec<f64>>,
}

impl Table {
    pub(super) fn of(args: &Args, data: &Dataset) -> Result<Self, Box<dyn Error>> {
        let x = args.x.iter().map(|name| data.column_f64(name));
        let known = args.weights.iter().chain(&args.sigma).next();
        Ok(Table {
            x: x.collect::<Result<_, _>>()?,
            y: data.column_f64(&args.y)?,
            known: known.map(|name| data.column_f64(name)).transpose()?,
        })
    }

    /// The readings of a row.
    pub(super) fn row(&self, i: usize) -> Vec<f64> {
        self.x
            .iter()
            .filter_map(|column| column.get(i).copied())
            .collect()
    }
}
