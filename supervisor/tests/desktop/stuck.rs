//! Workers that are alive and do not turn their loop.

use lumen_ipc::process::Worker;

use super::{Desktop, Signal, Stage, pid_of, wait_until};

#[test]
fn worker_whose_loop_is_stuck_while_it_answers_is_ended_and_the_next_serves() {
    let stage = Stage::new();
    let desktop = Desktop::start(stage.run("sleep 1000")).ready();
    let stage = stage.mode(Worker::Compositor, "loop");
    assert!(stage.ask(&["restart", "compositor"]).status.success());
    let in_state = |state: &str| {
        stage.process(Worker::Compositor).is_some_and(|worker| worker.state.as_str() == state)
    };
    wait_until("the compositor is shown as stuck", || in_state("stuck"));
    let stuck = pid_of(&stage.status(), Worker::Compositor).expect("alive");
    let others: Vec<_> = Worker::ALL.iter().filter_map(|worker| stage.process(*worker)).collect();
    let stage = stage.mode(Worker::Compositor, "ok");
    wait_until("the next one serves", || {
        let next = stage.process(Worker::Compositor);
        next.is_some_and(|next| next.state.as_str() == "ready" && next.pid != Some(stuck))
    });
    for other in others.iter().filter(|other| other.process.kind() != Worker::Compositor) {
        let worker = other.process.kind();
        assert_eq!(stage.process(worker).expect("there").pid, other.pid, "{worker}");
    }
    desktop.signal(Signal::SIGINT);
    let (_, said) = desktop.end();
    assert!(said.contains("compositor gives no sign of life"), "{said}");
    assert!(said.contains("compositor has given no sign of life for 10 s; ending it"), "{said}");
}
