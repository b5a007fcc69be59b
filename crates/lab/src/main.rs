//! The `ferry-lab` command.

fn main() -> std::process::ExitCode {
    lab::cli::main()
}
