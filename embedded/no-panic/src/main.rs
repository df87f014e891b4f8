//! Links only if nothing in the crate can panic.
//!
//! The panic handler calls a function that is not defined. Linking fails unless the compiler has
//! removed every call of the handler as dead code. So if it links, the code that is called here
//! cannot panic. Arguments go through `black_box`, so that the proof holds for all of them. The
//! firmware is never run; the linker is the test.
//!
//! Operations come from the list [`ops::ALL`], so a new one is tested without a change here. The
//! feature `plant-panic` shows that the proof can fail.
//!
//! Formatting (`Display` and `Debug`) is left out, because `core` indexes where it formats floats
//! and quoted strings, and the compiler cannot prove that this never panics. The crate's own
//! formatting code has no panics.

#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

use baregrad::calibrate::{
    Calibration, Curve, Differences, EarlyStopping, FORMULAS, Fit, Input, Multivariate, Origin,
    Record, RecordError, Samples, Scale, TwoFloat, Writer, move_behind, prepare, range,
};
use baregrad::function::{
    Absolute, Bce, BceWithLogits, DataGrads, Function, Huber, Loss, SmoothL1, Squared, models,
};
use baregrad::gradcheck::Gradcheck;
use baregrad::kernel::{self, Acc, Broadcast, Identity, Lanes, Product, f32x8, generic};
use baregrad::least_squares::{
    Counts, CurveFit, FDistribution, FitRows, InferenceError, LevenbergMarquardt, Problem,
    Recorded, Recursive, Restarted, RobustFit, Rows, Sample, StraightLine, StudentT, York,
};
use baregrad::nn;
use baregrad::op::{Attrs, Node};
use baregrad::ops::loss::{BceWithLogitsLoss, Criterion, CrossEntropyLoss, NllLoss, Reduction};
use baregrad::ops::{self, Args, Build};
use baregrad::optim::schedule::*;
use baregrad::optim::{
    Adadelta, Adagrad, Adam, AdamW, Adamax, Answer, Asgd, Lbfgs, LoadError, NAdam, Optimizer,
    OptimizerError, ParamGroups, RAdam, RmsProp, Rprop, Search, Sgd, SparseAdam, Stateful,
};
use baregrad::random::{self, RandomError, Rng, seeded};
use baregrad::{Arena, Error, Shape, ShapeError, Tape, Usage, Var};

board::entry!(run);

fn run() -> i32 {
    let data = [0.0; 64];
    let data = black_box(&data[..]);
    let mut out = [0.0; 64];
    let out = black_box(&mut out[..]);
    let failures = [
        tape(data, out).is_err(),
        least_squares(data),
        borrowed_storage(data, out).is_err(),
        optimizers(data, out).is_err(),
        more_optimizers(data, out).is_err(),
        every_optimizer(data, out).is_err(),
        random(out).is_err(),
        shapes().is_err(),
        calibrations(data, out).is_err(),
    ];
    schedules();
    kernels(data, out);
    lanes::<f32>(data, out);
    lanes::<kernel::f32x8>(data, out);
    scalar(data, out);
    models::visit(&mut EveryModel);
    black_box([
        loss_of_line(data, Absolute).is_err(),
        loss_of_line(data, black_box(SmoothL1 { beta: 0.5 })).is_err(),
        loss_of_line(data, black_box(Huber { delta: 0.5 })).is_err(),
        loss_of_line(data, Bce).is_err(),
        loss_of_line(data, BceWithLogits).is_err(),
        losses_of_classes(data).is_err(),
    ]);
    black_box(statistics(data, out).is_err());
    black_box(lines(data).is_err());
    #[cfg(feature = "plant-panic")]
    black_box(data[black_box(3)]);
    black_box(failures);
    0
}

/// Evaluates, differentiates, records and fits every model.
struct EveryModel;

impl models::Visitor for EveryModel {
    fn visit<F: Function<X, P> + 'static, const X: usize, const P: usize>(
        &mut self,
        model: F,
        x: [[f32; 2]; X],
        p: [[f32; 2]; P],
    ) {
        let (x, p) = black_box((x.map(|[x, _]| x), p.map(|[p, _]| p)));
        black_box((
            F::value(x, p),
            F::value_and_gradient(x, p),
            F::by_inputs(x, p),
        ));
        let (lanes_x, lanes_p) = (x.map(f32x8::splat), p.map(f32x8::splat));
        black_box((
            F::lanes(lanes_x, lanes_p),
            F::by_parameters(lanes_x, lanes_p),
        ));
        let mut arena = Arena::<256, 64>::new();
        let tape = arena.tape();
        black_box(F::record(tape.input(&x, [1, X]), tape.param(&p, [P])));
        let rows = black_box(&[[0.0; X]; 4][..]).as_flattened();
        black_box(one_node::<F, X, P>(rows, &p).is_err());
        let problem = CurveFit::<F, X>::new(model, rows, black_box(&[0.0; 4])).sigma(&p);
        let mut solver = LevenbergMarquardt::new(p);
        let solution = solver.run(&problem);
        black_box((solution.covariance(), solution.standard_error_of(&p)));
        let _ = black_box((
            solution.correlation(),
            solution.mean_at::<F, X>(x),
            solution.reading_at::<F, X>(x, 1.0),
        ));
        if let Ok(mut recursive) = Recursive::new(p, p, 1.0) {
            black_box(recursive.observe::<F, X>(x, black_box(1.0)).is_err());
            black_box(recursive.drift(&p).is_err());
            black_box((recursive.covariance(), recursive.standard_error_of(&p)));
        }
        black_box(solver.run(&problem.in_pairs().low(rows, &p)));
    }
}

/// Fits with bounds, robust losses and all sources of rows, a linear and a nonlinear model.
fn least_squares(data: &[f32]) -> bool {
    use baregrad::least_squares::RobustLoss as Robust;
    fn all<R: Problem<3> + ?Sized>(problem: &R) {
        let start = black_box([0.5; 3]);
        let mut bounded = LevenbergMarquardt::new(start)
            .bounds(start, black_box([1.0; 3]))
            .fixed(black_box([false; 3]));
        black_box(bounded.run(problem).held());
        for loss in [Robust::Huber, Robust::SoftL1, Robust::Cauchy, Robust::Tukey] {
            let fit = RobustFit::new(start, black_box(loss)).run(problem);
            black_box(fit.outliers(problem, 3.0).count());
        }
    }
    fn from_anywhere<D: Rows<1>>(rows: D) {
        let rows = black_box(FitRows::new(models::Polynomial::<3>, rows));
        black_box(LevenbergMarquardt::new(black_box([0.5; 3])).run(&rows));
    }
    all(&CurveFit::<_, 1>::new(models::Polynomial::<3>, data, data));
    all(&CurveFit::<_, 1>::new(models::Logistic, data, data).in_pairs());
    let counts = black_box(&[1_i16; 9][..]);
    from_anywhere(Counts::<1>::new(counts, [0.1], counts, 0.5));
    from_anywhere(Restarted::new(data.iter().map(|x| Sample {
        x: [*x],
        y: *x,
        weight: 1.0,
    })));
    let mut arena = Arena::<64, 8>::new();
    let tape = arena.tape();
    let (x, p) = (tape.constant(&[0.0], [1]), tape.param(&[0.0; 3], [3]));
    let row = |i: usize| {
        tape.write(x, &[i as f32])?;
        Ok(0.0)
    };
    all(&Recorded::new((x * p).sum(), black_box(&[p]), size(), row));
    tape.error().is_some()
}

/// Calls the statistics of fits, and recursive least squares.
fn statistics(data: &[f32], out: &mut [f32]) -> Result<(), InferenceError> {
    let numbers = black_box([0.5, 1.0, 3.0]);
    let [p, one, three] = numbers;
    let t = StudentT::new(three)?;
    black_box((
        t.cdf(one),
        t.survival(one),
        t.quantile(p)?,
        t.upper_quantile(p)?,
    ));
    let f = FDistribution::new(three, one)?;
    black_box((
        f.cdf(one),
        f.survival(one),
        f.quantile(p)?,
        f.upper_quantile(p)?,
    ));

    type Parabola = models::Polynomial<3>;
    let problem = CurveFit::new(models::Polynomial::<3>, data, data);
    let solution = LevenbergMarquardt::new(numbers).run(&problem);
    black_box(solution.confidence_intervals(p)?);
    black_box(solution.mean_at::<Parabola, 1>([p])?.interval(p)?);
    black_box(solution.input_for::<Parabola>(one, p, [p, three])?);
    let goodness = solution.goodness(data, data)?;
    black_box((goodness.adjusted_r_squared(), goodness.f_statistic()));
    black_box((
        goodness.r_squared(),
        goodness.unexplained(),
        goodness.p_value()?,
    ));

    let mut recursive = Recursive::new(numbers, numbers, p)?
        .forgetting(p)?
        .gate(one)?;
    black_box(recursive.update(&numbers, one).is_err());
    black_box(recursive.correct(&numbers, one).is_err());
    recursive.save(out)?;
    recursive.restore(data)?;
    black_box((recursive.params(), recursive.standard_errors()));
    Ok(())
}

/// Fits lines with errors in both coordinates.
fn lines(data: &[f32]) -> Result<(), InferenceError> {
    let ratio = black_box(1.0);
    let york = York {
        x: data,
        y: data,
        sigma_x: data,
        sigma_y: data,
        correlation: data,
    };
    for line in [york.fit(), StraightLine::deming(data, data, ratio)] {
        let Ok(line) = line else { continue };
        black_box((line.slope(), line.intercept(), line.standard_errors()));
        black_box((line.covariance(), line.chi_squared()));
        black_box((
            line.degrees_of_freedom(),
            line.residual_standard_deviation(),
        ));
        black_box(line.value_at(ratio).interval(ratio)?);
        black_box(line.input_for(ratio, ratio)?.standard_error());
    }
    Ok(())
}

/// Records a model as one node, with gradients for all its operands.
fn one_node<F: Function<X, P> + 'static, const X: usize, const P: usize>(
    rows: &[f32],
    p: &[f32],
) -> Result<(), Error> {
    let mut arena = Arena::<256, 16>::new();
    let tape = arena.tape();
    let n = size();
    let (x, p) = (tape.param(rows, [n, X]), tape.param(p, [P]));
    let y = tape.param_from_fn([n], |i| i as f32);
    let weights = tape.constant_from_fn([n], |i| i as f32);
    tape.backward(F::mean_loss(DataGrads(Squared), x, p, y))?;
    tape.backward(F::weighted_mean_loss(DataGrads(Squared), x, p, y, weights))?;
    let data = tape.constant(rows, [n, X]);
    tape.backward(F::mse(data, p, weights))?;
    tape.backward(F::weighted_mse(data, p, weights, weights))?;
    tape.backward_with(F::predict(x, p), black_box(&[0.0; 4]))?;
    tape.replay()
}

/// Records a loss of pairs of elements: fused into a line, and as a criterion with its options.
#[inline(never)]
fn loss_of_line<Q: Loss>(data: &[f32], loss: Q) -> Result<(), Error> {
    let mut arena = Arena::<256, 32>::new();
    let tape = arena.tape();
    let (x, y) = (tape.param(data, shape()), tape.param(data, shape()));
    let (p, w) = (tape.param(data, [2]), tape.constant(data, shape()));
    tape.backward(models::Line::mean_loss(DataGrads(loss), x, p, y))?;
    tape.backward(models::Line::weighted_mean_loss(
        DataGrads(loss),
        x,
        p,
        y,
        w,
    ))?;
    let all = Criterion::from(loss).reduction(black_box(Reduction::Sum));
    let pos_weight = BceWithLogitsLoss::new()
        .pos_weight(w)
        .reduction(black_box(Reduction::Sum));
    for result in [
        all.of(x, y),
        all.weight(w).of(x, y),
        pos_weight.of(x, y),
        pos_weight.weight(w).of(x, y),
    ] {
        tape.backward_with(result, data)?;
    }
    tape.replay()
}

/// Records the losses of classes with their options.
#[inline(never)]
fn losses_of_classes(data: &[f32]) -> Result<(), Error> {
    let mut arena = Arena::<256, 32>::new();
    let tape = arena.tape();
    let (x, y) = (tape.param(data, shape()), tape.param(data, shape()));
    let (weights, rows) = (tape.constant(data, [size()]), tape.constant(data, [size()]));
    let reduction = black_box(Reduction::Mean);
    let entropy = CrossEntropyLoss::new()
        .reduction(reduction)
        .label_smoothing(black_box(0.1))
        .ignore_index(black_box(1));
    let nll = NllLoss::new()
        .reduction(reduction)
        .ignore_index(black_box(1));
    for result in [
        entropy.of(x, y),
        entropy.of(x, rows),
        entropy.weight(weights).row_weight(rows).of(x, rows),
        nll.of(x, rows),
        nll.weight(weights).of(x, rows),
    ] {
        tape.backward_with(result, data)?;
    }
    tape.replay()
}

/// Returns a shape that the compiler does not know.
fn shape() -> Shape {
    black_box(Shape::from([2, 3]))
}

/// Returns a number that the compiler does not know.
fn size() -> usize {
    black_box(2)
}

fn sizes<const N: usize>() -> [usize; N] {
    black_box([2; N])
}

fn acc() -> Acc {
    black_box(Acc::Add)
}

/// Calls every method of a tape in an arena of its own.
fn tape(data: &[f32], out: &mut [f32]) -> Result<(), Error> {
    let mut arena = Arena::<256, 64>::new();
    let tape = arena.tape();
    every_method(&tape, data, out)
}

/// Calls every method of a tape over slices of any length.
fn borrowed_storage(data: &[f32], out: &mut [f32]) -> Result<(), Error> {
    let mut nodes = [const { Node::EMPTY }; 4];
    let mut floats = [0.0; 16];
    let tape = Tape::new(black_box(&mut floats[..]), black_box(&mut nodes[..]));
    every_method(&tape, data, out)
}

#[inline(never)]
fn every_method<'t>(tape: &'t Tape<'t>, data: &'t [f32], out: &mut [f32]) -> Result<(), Error> {
    let tape = black_box(tape);
    let w = tape.param(data, shape());
    let b = tape.param(data, []);
    let x = tape.input(data, shape());
    let c = tape.constant(data, shape());
    tape.param_from_fn(shape(), |i| black_box(i as f32));
    tape.constant_from_fn(shape(), |i| black_box(i as f32));
    let mark = tape.mark();

    let args = black_box(Args::NONE);
    let operands = black_box([w, x, b, c]);
    for entry in black_box(ops::ALL).iter().copied().flatten() {
        let entry = black_box(entry);
        for count in 0..=4 {
            let operands = operands.get(..count).unwrap_or_default();
            black_box(entry.build.call(operands, &args));
        }
        if let Build::One(build) = entry.build {
            black_box(build(w, &entry.args));
        }
        black_box((entry.name, entry.shapes, entry.domain));
    }

    // Calls that the list does not make.
    let s = black_box(1.5_f32);
    black_box([s + w, s * w]);
    black_box([
        w.try_add(x)?,
        w.try_sub(x)?,
        w.try_mul(x)?,
        w.try_div(x)?,
        w.try_neg()?,
    ]);
    black_box(w.reshape(black_box([2, -1, 3])));
    black_box((w.permute(black_box([1, 0])), w.flip(black_box([1]))));
    black_box(w.expand(black_box([2, -1, 3])));
    black_box(w.split_sizes(black_box([1, 2]), black_box(-1)));
    black_box(w.chunk(black_box(2), black_box(0)).len());
    black_box((w.max_pool1d(black_box(2)), w.avg_pool1d(black_box(2))));
    black_box((w.conv1d(x), w.layer_norm(x, b)));
    layers(tape, black_box(x))?;
    ops::norm::BatchNorm::new(w, x).update(black_box(b))?;
    let loss = tape.apply(
        black_box(&ops::loss::Mse),
        &[w, x],
        black_box(Attrs::default()),
    );
    black_box(tape.try_apply(&ops::loss::Mse, black_box(&[w, x][..]), Attrs::default())?);

    black_box(w.detach());
    black_box(tape.no_grad(|| w + x));
    black_box(tape.set_grad_enabled(black_box(true)));
    black_box(tape.is_grad_enabled());

    tape.zero_grad();
    tape.backward(loss)?;
    black_box(Gradcheck::new().run(loss)?);
    tape.backward_with(w, data)?;
    tape.allow_unused(b)?;
    black_box(tape.clip_grad_norm(s)?);
    tape.clip_grad_value(s)?;
    tape.step(&mut Sgd::new(s))?;
    tape.step(&mut Adam::<4>::new(s))?;
    tape.step::<dyn Optimizer>(&mut Sgd::new(s).momentum::<4>(s))?;
    tape.rebind(x, black_box(data))?;
    black_box(tape.backward_over(loss, black_box(&[(x, data)]))?);
    tape.write(w, black_box(data))?;
    black_box(keep_params(black_box(&[("w", w)])).is_err());
    tape.replay()?;

    black_box((loss.item()?, w.has_grad(), w.shape(), w.requires_grad()));
    black_box((&*w.value()?, &*w.grad()?, &*tape.params()?, &*tape.grads()?));
    for (to, from) in out.iter_mut().zip(&*w.value()?) {
        *to = *from;
    }
    let usage: Usage = tape.usage();
    black_box((
        usage,
        usage.peak_bytes(),
        usage.capacity_bytes(),
        tape.error(),
    ));
    if let Some(error) = tape.error() {
        match error.kind {
            baregrad::ErrorKind::Shape { operands, .. } => {
                for shape in operands.iter() {
                    black_box(shape);
                }
            }
            kind => {
                black_box(kind);
            }
        }
    }
    black_box(mark);
    tape.rewind(mark)?;
    black_box(Var::tape(w));
    Ok(())
}

/// Calls the layers of `nn`, with sizes that the compiler does not know.
fn layers<'t>(tape: &'t Tape<'t>, x: Var<'t>) -> Result<(), Error> {
    let rng = &mut seeded(black_box(1));
    let conv = nn::Conv1d::new(tape, black_box(3), black_box(8), black_box(5), rng);
    let norm = nn::LayerNorm::new(tape, black_box([4]));
    let drop = nn::Dropout::new(tape, black_box(0.5), black_box(1));
    let linear = nn::Linear::new(tape, black_box(4), black_box(3), rng);
    let mlp = nn::Mlp::<nn::Relu, 3>::new(tape, black_box(3), black_box([4, 4, 2]), rng);
    black_box(mlp.forward(linear.forward(drop.forward(norm.forward(conv.forward(x))))));
    black_box((conv.params(), norm.params(), mlp.params()));
    drop.train(black_box(1))?;
    drop.eval()
}

/// Calibrates readings that are given as text, writes and reads the record, and predicts.
#[inline(never)]
fn calibrations(data: &[f32], out: &mut [f32]) -> Result<(), RecordError> {
    let text = black_box("101325.05");
    let pair = text
        .parse::<TwoFloat>()
        .unwrap_or(TwoFloat::from_f64(black_box(0.5)));
    let mut memory = [0.0; 8];
    let mut readings = Differences::new(black_box(&mut memory[..]));
    for x in black_box(data) {
        black_box(readings.push(pair.plus(*x)).is_err());
    }
    readings.remove(size());
    black_box((
        readings.get(size()),
        readings.written(size()),
        pair.to_f64(),
    ));
    let curve = Curve::parse_with(black_box("mlp:4,4"), &FORMULAS);
    let curve = black_box(curve).unwrap_or(Curve::Linear);
    let (mut x, mut y) = ([0.0; 8], [0.0; 8]);
    let count = black_box(move_behind(&mut x, &mut y, black_box(&[2, 1])));
    let scales = prepare(
        &curve,
        readings.iter(),
        readings.iter(),
        black_box(&mut x[..]),
        black_box(&mut y[..]),
    );
    let [input, output] = black_box(scales).unwrap_or([Scale::ONE; 2]);
    black_box((input.lost(pair), output.spread()));
    curve.start(out);

    let mut best = [0.0; 16];
    let mut arena = Arena::<512, 32>::new();
    let tape = arena.tape();
    let samples = Samples {
        x: black_box(&x[..]),
        y: black_box(&y[..]),
    };
    let [training, validation] = samples.split_at(count);
    let fit = Fit::new(&tape, training, size(), black_box(&mut best[..]), |x| {
        curve.record(x, data)
    });
    if let Ok(fit) = fit {
        let early = EarlyStopping::new(9).min_delta(black_box(0.1));
        let fit = fit.epochs(black_box(9)).validation(validation);
        let mut fit = black_box(fit.early_stopping(early));
        black_box(fit.poll(&mut Sgd::new(0.1)).is_err());
        let mut sgd = Sgd::new(0.1);
        let mut rates = Scheduler::new(StepLr::new(size() as u32), &mut sgd);
        black_box(fit.poll_scheduled(&mut sgd, &mut rates).is_err());
        black_box(fit.poll_search(&mut Lbfgs::<16, 2>::new(1.0)).is_err());
        black_box(keep_and_restore(&mut fit).is_err());
        fit.stop();
        black_box((fit.epoch(), fit.losses(), fit.best()));
    }

    let mut bytes = [0; 128];
    let calibration = Calibration {
        curve,
        input,
        output,
        range: [pair; 2],
        params: black_box(&best[..]),
        origin: Origin::default(),
    };
    black_box((
        calibration.scaled_coefficients(),
        calibration.coefficients(),
        calibration.covers(black_box(pair)),
        calibration.range_is_off_by(),
        range(readings.iter()),
        output.invert_square(black_box(0.5)),
    ));
    let bytes = calibration.write(black_box(&mut bytes[..]))?;
    let read = Calibration::read_with(black_box(bytes), out, &FORMULAS)?;
    let mut arena = Arena::<512, 32>::new();
    black_box(read.predict(&arena.tape(), pair).is_err());

    let mut inputs = [Input::NONE; 2];
    let several = Multivariate {
        curve,
        inputs: black_box(&inputs[..]),
        output,
        params: black_box(&best[..]),
        origin: Origin::default(),
    };
    black_box((
        several.predict(black_box(&[pair; 2])).is_err(),
        several.inputs.len(),
    ));
    let mut bytes = [0; 256];
    let bytes = several.write(black_box(&mut bytes[..]))?;
    let (inputs, params) = (black_box(&mut inputs[..]), black_box(&mut best[..]));
    black_box(Multivariate::read(black_box(bytes), inputs, params).is_err());

    let record = Record::read(black_box(bytes))?;
    for (name, value) in record.entries() {
        black_box((name, value));
    }
    black_box((record.integer("epochs")?, record.text("curve")?));
    let mut bytes = [0; 64];
    let mut writer = Writer::new(black_box(&mut bytes[..]));
    writer.array("params", shape(), data.iter().copied());
    writer.integer("epochs", black_box(1));
    writer.text("note", black_box("text"));
    black_box(writer.finish()?);
    Ok(())
}

#[inline(never)]
fn optimizers(grads: &[f32], params: &mut [f32]) -> Result<(), OptimizerError> {
    let x = black_box(0.5_f32);
    let y = f64::from(x);
    let mut plain = black_box(Sgd::new(x).weight_decay(x).maximize());
    let mut heavy = black_box(Sgd::new(x).momentum::<8>(x).dampening(y).weight_decay(x));
    let mut nesterov = black_box(Sgd::new(x).momentum::<8>(x).nesterov().maximize());
    let mut adam = black_box(Adam::<8>::new(x).betas(y, y).eps(x).weight_decay(x));
    let mut amsgrad = black_box(Adam::<8>::new(x).maximize().amsgrad());
    let (mut slice, mut b) = black_box(([0.0; 24], [0.0; 8]));
    let (slice, b) = (&mut black_box(&mut slice)[..], &mut black_box(&mut b)[..]);
    let mut lent = black_box(Adam::with_state(x, slice).amsgrad());
    let mut lent_sgd = black_box(Sgd::new(x).momentum_with_state(x, b));
    plain.visit_state(
        size(),
        black_box(&mut |_, numbers: &mut [f32]| numbers.fill(x)),
    )?;
    lent.visit_state(
        size(),
        black_box(&mut |_, numbers: &mut [f32]| numbers.fill(x)),
    )?;
    plain.reset();
    heavy.reset();
    adam.reset();
    amsgrad.reset();
    let all: [&mut dyn Optimizer; 7] = [
        &mut plain,
        &mut heavy,
        &mut nesterov,
        &mut adam,
        &mut amsgrad,
        &mut lent,
        &mut lent_sgd,
    ];
    for optimizer in all {
        let optimizer = black_box(optimizer);
        optimizer.step(params, grads)?;
        optimizer.set_learning_rate(optimizer.learning_rate() * x);
    }
    Ok(())
}

/// Steps every optimizer of the list, with any learning rate, shapes and state.
#[inline(never)]
fn every_optimizer(grads: &[f32], params: &mut [f32]) -> Result<(), OptimizerError> {
    let x = black_box(0.5_f32);
    let shapes = black_box([Shape::from([size(), 2]), Shape::from([size()])]);
    macro_rules! told {
        ($optimizer:expr, shapes $($option:ident)*) => {
            $optimizer.shapes(&shapes)
        };
        ($optimizer:expr, $($option:ident)*) => {
            $optimizer
        };
    }
    macro_rules! use_all {
        ($($name:ident = $torch:literal [$($option:ident $values:tt)*];)*) => {$(
            let mut memory = black_box([0.0; 64]);
            let memory = memory.get_mut(..size()).unwrap_or_default();
            let inline = told!(baregrad::optim::$name::<8>::new(x), $($option)*);
            let lent = told!(baregrad::optim::$name::with_state(x, memory), $($option)*);
            let (mut inline, mut lent) = black_box((inline, lent));
            inline.step(params, grads)?;
            inline.reset();
            lent.step(params, grads)?;
            lent.visit_state(
                size(),
                black_box(&mut |_, numbers: &mut [f32]| numbers.fill(x)),
            )?;
        )*};
    }
    baregrad::each_optimizer!(use_all);
    Ok(())
}

/// Steps the optimizers other than SGD and Adam with any hyper-parameters, and a search.
#[inline(never)]
fn more_optimizers(grads: &[f32], params: &mut [f32]) -> Result<(), OptimizerError> {
    let x = black_box(0.5_f32);
    let mut adam_w = black_box(AdamW::<8>::new(x).betas(0.8, 0.9).eps(x).amsgrad());
    let mut nadam = black_box(NAdam::<8>::new(x).weight_decay(x).decoupled_weight_decay());
    let mut radam = black_box(RAdam::<8>::new(x).weight_decay(x));
    let mut adamax = black_box(Adamax::<8>::new(x).maximize());
    let mut rms_prop = black_box(RmsProp::<8>::new(x).momentum(x).centered());
    let mut adagrad = black_box(Adagrad::<8>::new(x).lr_decay(x));
    let mut adadelta = black_box(Adadelta::<8>::new(x));
    let mut asgd = black_box(Asgd::<8>::new(x).lambd(x).t0(x));
    let rprop = black_box(Rprop::<8>::new(x).etas(x, x + 1.0));
    let mut rprop = black_box(ParamGroups::new(size(), rprop, Sgd::new(x)));
    asgd.average(params)?;
    let mut sparse = black_box(SparseAdam::<8>::new(x));
    sparse.step_sparse(params, &[size(), size()], grads)?;
    let all: [&mut dyn Optimizer; 9] = [
        &mut adam_w,
        &mut nadam,
        &mut radam,
        &mut adamax,
        &mut rms_prop,
        &mut adagrad,
        &mut adadelta,
        &mut asgd,
        &mut rprop,
    ];
    for optimizer in all {
        let optimizer = black_box(optimizer);
        optimizer.step(params, grads)?;
        optimizer.set_momentum_factor(optimizer.momentum_factor().unwrap_or(x));
    }
    let all: [&mut dyn Stateful; 9] = [
        &mut adam_w,
        &mut nadam,
        &mut radam,
        &mut adamax,
        &mut rms_prop,
        &mut adagrad,
        &mut adadelta,
        &mut asgd,
        &mut rprop,
    ];
    for optimizer in all {
        let optimizer = black_box(optimizer);
        optimizer.visit_state(
            size(),
            black_box(&mut |_, numbers: &mut [f32]| numbers.fill(x)),
        )?;
        black_box(keep_and_restore(optimizer).is_err());
    }
    let mut memory = black_box([0.0; 100]);
    let mut search = black_box(Lbfgs::with_state(x, size(), &mut memory).strong_wolfe());
    let mut inline = black_box(Lbfgs::<8, 3>::new(x).max_iter(3).maximize());
    let all: [&mut dyn Search; 2] = [&mut search, &mut inline];
    for search in all {
        let search = black_box(search);
        while let Answer::Ask = search.tell(params, black_box(x), grads)? {}
    }
    inline.visit_state(
        size(),
        black_box(&mut |_, numbers: &mut [f32]| numbers.fill(x)),
    )
}

/// Writes a state to a record, and reads it back.
#[inline(never)]
fn keep_and_restore(state: &mut dyn Stateful) -> Result<(), LoadError> {
    let mut bytes = [0; 512];
    let mut writer = Writer::new(black_box(&mut bytes[..]));
    writer.state_dict(black_box("state"), state, size())?;
    if let Ok(bytes) = writer.finish() {
        if let Ok(record) = Record::read(black_box(bytes)) {
            record.load_state_dict(black_box("state"), state, size())?;
        }
    }
    Ok(())
}

/// Writes variables to a record, and reads them back.
#[inline(never)]
fn keep_params(params: &[(&str, Var<'_>)]) -> Result<(), LoadError> {
    let mut bytes = [0; 128];
    let mut writer = Writer::new(black_box(&mut bytes[..]));
    writer.params(black_box("model"), params)?;
    if let Ok(bytes) = writer.finish() {
        if let Ok(record) = Record::read(black_box(bytes)) {
            record.load_params(black_box("model"), params)?;
        }
    }
    Ok(())
}

/// Steps every schedule of the list with all its options, combined schedules, and schedules with
/// a value for each parameter group.
#[inline(never)]
fn schedules() {
    macro_rules! use_all {
        ($(
            $name:ident = $torch:literal ($($arg:ident: $sample:expr $(=> $default:expr)?),*)
                [$($option:ident($($value:expr),*))*];
        )*) => {$(
            use_schedule(&mut $name::new($(black_box($sample)),*)$(.$option($($value),*))*);
        )*};
    }
    baregrad::each_schedule!(use_all);
    let n = size() as u32;
    use_schedule(&mut LinearLr::new(0.1, 0.8, n).chain(ExponentialLr::new(0.9)));
    use_schedule(&mut LinearLr::default().then(n, CosineAnnealingLr::new(n)));
    use_schedule(&mut CyclicLr::new(0.01, 0.1).step_size_up(n).triangular2());
    use_schedule(&mut OneCycleLr::per_group([0.1, 0.2], n));
    use_schedule(&mut CyclicLr::per_group([0.1, 0.2], [0.5, 0.6]));
    use_schedule(&mut ReduceLrOnPlateau::per_group([0.1, 0.2]).patience(n));
    let factors: [fn(u32) -> f64; 2] = black_box([|_| 0.5, |_| 0.25]);
    use_schedule(&mut LambdaLr::per_group(factors).then(n, MultiplicativeLr::per_group(factors)));
}

#[inline(never)]
fn use_schedule(schedule: &mut dyn Schedule) {
    let schedule = black_box(schedule);
    let sgd = || Sgd::new(0.1).momentum::<1>(0.9);
    let mut groups = black_box(ParamGroups::new(size(), sgd(), sgd()));
    let mut scheduler = Scheduler::new(schedule, &mut groups);
    scheduler.step(&mut groups);
    scheduler.visit_state(black_box(&mut |_, numbers: &mut [f32]| numbers.fill(0.5)));
    scheduler.step_with(black_box(0.5), &mut groups);
    black_box(keep_and_restore(&mut scheduler).is_err());
}

#[inline(never)]
fn random(out: &mut [f32]) -> Result<(), RandomError> {
    let mut rng = random::seeded(black_box(1));
    let (x, y) = black_box((0.0, 1.0));
    random::fill_uniform(&mut rng, x, y, out)?;
    random::fill_normal(&mut rng, x, y, out)?;
    random::fill_normal::<dyn Rng>(&mut rng, x, y, out)?;
    let mut order = [0; 16];
    let order = black_box(&mut order[..]);
    random::randperm(&mut rng, order);
    random::shuffle(&mut rng, out);
    black_box((rng.next_u32(), rng.next_u64()));
    let mut bytes = [0; 16];
    rng.fill_bytes(black_box(&mut bytes[..]));
    Ok(())
}

#[inline(never)]
fn shapes() -> Result<(), ShapeError> {
    let (a, b) = (shape(), Shape::new(black_box(&[2, 3][..]))?);
    black_box((
        a.rank(),
        a.dims(),
        a.dim(size()),
        a.numel(),
        a.broadcast(&b),
    ));
    black_box(Broadcast::new(&a, &b).map(|(_, stretch)| stretch.swap()));
    Ok(())
}

struct All;
impl kernel::Map<3> for All {
    fn apply<L: Lanes>(&self, &[x, y, z]: &[L; 3]) -> L {
        x * y + z
    }
}

/// Calls the public kernels, with any slices and sizes.
#[inline(never)]
fn kernels(data: &[f32], out: &mut [f32]) {
    let (x, y, z) = (black_box(data), black_box(data), black_box(data));
    kernel::map(All, [x, y, z], out, acc());
    kernel::map_in_place(Identity, out);
    kernel::zip_in_place(Product, out, y);
    black_box(kernel::sum_of(All, [x, y, z]));
    black_box([kernel::sum(x), kernel::max(x), kernel::min(x)]);
    black_box([kernel::dot(x, y), kernel::squared_distance(x, y)]);
    black_box(kernel::dot_and_sum(x, y));
    kernel::sum_axis(x, sizes(), out);
    kernel::max_axis(x, sizes(), out);
    kernel::min_axis(x, sizes(), out);
    if let Some((_, stretch)) = black_box(Broadcast::new(&shape(), &shape())) {
        kernel::zip(Product, &stretch, x, y, out);
        kernel::zip_grad(All, &stretch, [x, y, z], out, acc());
    }
    kernel::matmul(x, y, out, sizes());
    kernel::matmul_tn(x, y, out, sizes(), acc());
    kernel::matmul_nt(x, y, out, sizes(), acc());
    kernel::linear(x, y, z, out, sizes());
    kernel::sum_rows(x, sizes(), out, acc());
    kernel::spread(x, black_box(2.0), sizes(), out, acc());
    kernel::transpose(x, sizes(), out, acc());
    kernel::paste(x, sizes(), sizes(), out, acc());
    kernel::cut(x, sizes(), sizes(), out, acc());
    kernel::softmax::<false>(x, sizes(), out);
    kernel::softmax::<true>(x, sizes(), out);
    kernel::softmax_grad::<false>(x, y, sizes(), out, acc());
    kernel::softmax_grad::<true>(x, y, sizes(), out, acc());
    black_box(kernel::level());
}

/// Calls the generic kernels with a lane type.
#[inline(never)]
fn lanes<L: Lanes>(data: &[f32], out: &mut [f32]) {
    let (x, y, z) = (black_box(data), black_box(data), black_box(data));
    generic::map::<L, 3, _>(All, [x, y, z], out, acc());
    generic::map_in_place::<L, _>(Identity, out);
    generic::zip_in_place::<L, _>(Product, out, y);
    black_box(generic::reduce::<L, generic::Sum, 1, _>(Identity, [x]));
    black_box(generic::reduce::<L, generic::Max, 1, _>(Identity, [x]));
    black_box(generic::reduce::<L, generic::Min, 1, _>(Identity, [x]));
    generic::reduce_axis::<L, generic::Sum>(x, sizes(), out);
    generic::reduce_axis::<L, generic::Max>(x, sizes(), out);
    if let Some((_, stretch)) = black_box(Broadcast::new(&shape(), &shape())) {
        generic::zip::<L, _>(Product, &stretch, x, y, out);
        generic::zip_grad::<L, _>(All, &stretch, [x, y, z], out, acc());
    }
    generic::matmul::<L>(x, y, out, sizes());
    generic::matmul_tn::<L>(x, y, out, sizes(), acc());
    generic::matmul_nt::<L>(x, y, out, sizes(), acc());
    generic::linear::<L>(x, y, z, out, sizes());
    generic::sum_rows::<L>(x, sizes(), out, acc());
    generic::spread::<L>(x, black_box(2.0), sizes(), out, acc());
    generic::paste::<L>(x, sizes(), sizes(), out, acc());
    generic::cut::<L>(x, sizes(), sizes(), out, acc());
    generic::softmax::<L, false>(x, sizes(), out);
    generic::softmax_grad::<L, true>(x, y, sizes(), out, acc());
    generic::map::<L, 2, _>(Math, [x, y], out, acc());
}

/// Every elementary function.
struct Math;
impl kernel::Map<2> for Math {
    fn apply<L: Lanes>(&self, &[x, y]: &[L; 2]) -> L {
        use kernel::math::*;
        let all = exp(x) + exp_m1(x) + ln(x) + tanh(x) + sigmoid(x) + silu(x) + softplus(x);
        let all = all + erf(x) + gelu(x) + gelu_tanh(x) + sin(x) + cos(x) + pow(x, y);
        all + powi(x, black_box(3))
    }
}

/// Calls the scalar reference kernels.
#[inline(never)]
fn scalar(data: &[f32], out: &mut [f32]) {
    use kernel::scalar;
    let (x, y, z) = (black_box(data), black_box(data), black_box(data));
    scalar::map(All, [x, y, z], out, acc());
    black_box(scalar::reduce::<generic::Sum, 1, _>(Identity, [x]));
    scalar::reduce_axis::<generic::Max>(x, sizes(), out);
    black_box(scalar::stretched_offset(&shape(), &shape(), size()));
    scalar::matmul(x, y, out, sizes());
    scalar::matmul_tn(x, y, out, sizes(), acc());
    scalar::matmul_nt(x, y, out, sizes(), acc());
}

#[cfg(not(feature = "link-anyway"))]
unsafe extern "C" {
    /// This is not defined: the linker's error prints its name.
    safe fn this_firmware_can_panic() -> !;
}

#[cfg(feature = "link-anyway")]
fn this_firmware_can_panic() -> ! {
    board::exit(2)
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    this_firmware_can_panic()
}
