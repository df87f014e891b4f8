//! The result of fitting.

use core::fmt;
use std::string::String;
use std::vec::Vec;

use super::digits::Digits;
use super::evaluate::predict;
use super::history::History;
use super::model::{Model, Param};
use super::verdict::Judgement;
use crate::error::Error;

/// The result of a [`Fit`](super::Fit): the parameters and the history of the fit.
#[derive(Clone, Debug)]
pub struct Fitted {
    flat: Vec<f32>,
    params: Vec<Param>,
    history: History,
    inputs: usize,
    at_once: usize,
}

impl Fitted {
    /// The result of a fit whose predictions take `at_once` rows of `inputs` numbers at a time.
    pub(super) fn new(params: Vec<Param>, history: History, inputs: usize, at_once: usize) -> Self {
        let values = params.iter().flat_map(|param| &param.values);
        Fitted {
            flat: values.copied().collect(),
            params,
            history,
            inputs,
            at_once,
        }
    }

    /// The values of all parameters, one parameter after another.
    pub fn params(&self) -> &[f32] {
        &self.flat
    }

    /// The parameters with their names and shapes.
    pub fn named_params(&self) -> &[Param] {
        &self.params
    }

    /// The losses of every epoch.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Judges the history: whether the fit is good, and why.
    pub fn verdict(&self) -> Judgement {
        self.history.verdict()
    }

    /// R², the share of the variance of the training targets that the model explains; see
    /// [`History::r_squared`].
    pub fn r_squared(&self) -> Option<f64> {
        self.history.r_squared()
    }

    /// Predicts rows of inputs `x` with the fitted parameters. `model` is the model that
    /// was fitted, and the inputs are scaled as the training inputs were.
    ///
    /// # Errors
    /// `x` is no whole number of rows, or the model cannot be recorded on its rows. If `x` is
    /// empty, so is the result.
    pub fn predict(&self, model: &(impl Model + ?Sized), x: &[f32]) -> Result<Vec<f32>, Error> {
        predict(model, &self.params, x, self.inputs, self.at_once)
    }

    /// Formats the parameters as a table.
    ///
    /// ```text
    /// parameter  shape    values
    /// w          []           5.5010
    /// b          []         -18.3851
    /// ```
    pub fn table(&self) -> String {
        let mut text = String::new();
        let width = self.params.iter().map(|param| param.name.len());
        let width = width.fold("parameter".len(), usize::max);
        push(
            &mut text,
            format_args!("{:width$}  {:8} values\n", "parameter", "shape"),
        );
        for param in &self.params {
            let shape = std::format!("{}", param.shape);
            push(&mut text, format_args!("{:width$}  {shape:8}", param.name));
            for x in param.values.iter().take(TABLE) {
                let x = std::format!("{}", Digits(*x));
                push(&mut text, format_args!(" {x:>10}"));
            }
            if param.values.len() > TABLE {
                push(&mut text, format_args!(" … {} values", param.values.len()));
            }
            text.push('\n');
        }
        text
    }
}

/// The most values of a parameter that the table shows.
const TABLE: usize = 6;

fn push(text: &mut String, what: fmt::Arguments<'_>) {
    // Writing to a `String` does not fail.
    let written = fmt::Write::write_fmt(text, what);
    debug_assert!(written.is_ok());
}
