//! The command line.

use synod_scenarios::plan::{Overrides, Plan};

fn main() {
    let seeds: u64 = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(1);
    for seed in 0..seeds {
        let plan = Plan::of_seed(seed, &Overrides::default());
        let outcome = synod_scenarios::run::run(&plan, Default::default());
        println!(
            "seed {seed} n{} f{}: {:032x} ack {} sim {:?} took {:?} check {:?} {:?}",
            plan.cluster.nodes, plan.faults.len(),
            outcome.hash, outcome.acknowledged, outcome.simulated, outcome.took, outcome.checking,
            outcome.findings.iter().map(|f| f.to_string()).collect::<Vec<_>>()
        );
    }
}
