//! `ferryd`: Ferry's controller.

fn main() {}
