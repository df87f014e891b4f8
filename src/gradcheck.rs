//! `backward` against central differences, on any recorded model.
