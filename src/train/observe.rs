//! Observers that print the epochs of a fit.

use super::history::Epoch;
#[cfg(feature = "progress")]
use std::io::IsTerminal as _;
use std::io::Write as _;

/// Returns an observer that prints the first three epochs and every `every`th. Training goes on if
/// standard output is closed, by `head` for example.
///
/// ```
/// use baregrad::train;
///
/// let mut observer = train::lines(500);
/// # let epoch = train::Epoch {
/// #     epoch: 500, training_loss: 8.27236, validation_loss: Some(1.00623), learning_rate: 0.01,
/// # };
/// observer(&epoch); // Epoch 500, Training loss 8.2724, Validation loss 1.0062
/// # assert_eq!(epoch.to_string(), "Epoch 500, Training loss 8.2724, Validation loss 1.0062");
/// ```
pub fn lines(every: u32) -> impl FnMut(&Epoch) {
    move |epoch| {
        if epoch.epoch <= 3 || epoch.epoch.is_multiple_of(every) {
            // `println!` would panic if the output was closed.
            let _ = writeln!(std::io::stdout(), "{epoch}");
        }
    }
}

/// Returns an observer that shows a progress bar if standard error is a terminal, and otherwise
/// prints the first three epochs and every tenth of `epochs`, as [`lines`] does.
#[cfg(feature = "progress")]
pub fn progress(epochs: u32) -> impl FnMut(&Epoch) {
    use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

    let bar = std::io::stderr().is_terminal().then(|| {
        let target = ProgressDrawTarget::stderr_with_hz(10);
        let bar = ProgressBar::with_draw_target(Some(epochs.into()), target);
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar
    });
    let mut lines = lines((epochs / 10).max(1));
    move |epoch| match &bar {
        Some(bar) => {
            bar.set_position(epoch.epoch.into());
            bar.set_message(std::format!("{epoch}"));
            if epoch.epoch == epochs {
                bar.finish();
            }
        }
        None => lines(epoch),
    }
}
