//! Elementary functions over lanes.
