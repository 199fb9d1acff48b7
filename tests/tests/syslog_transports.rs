//! Syslog transports towards something that is no receiver of theirs. Towards those that are: `matrix` and `receivers`.

use std::net::{SocketAddr, TcpListener};
use std::thread;

use scaidrive_tests::agent_config::Destination;
use scaidrive_tests::agent_process::Agent;
use scaidrive_tests::generator::Workload;
use scaidrive_tests::ports::free_port;
use scaidrive_tests::scenario::{ONLY_GENERATED, PATIENCE, write};
use scaidrive_tests::wait::wait_until;

#[test]
fn connectors_8_2_something_that_is_no_relp_server_gets_nothing_and_is_named() {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let listener = TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _ = std::io::Write::write_all(&mut stream, b"220 mail.example.com ESMTP\r\n");
        }
    });
    let agent = Agent::with([Destination::syslog("siem", "relp", address).with("filter", ONLY_GENERATED)]);
    write(&agent, Workload::new(1, 5, 50));
    wait_until("the agent has noticed", PATIENCE, || {
        ["retrying", "circuit_open"].contains(&agent.state_of("siem").as_str())
    });
    let shown = String::from_utf8(agent.command(&["status"]).stdout).unwrap();
    assert!(shown.contains("does not speak RELP"), "{shown}");
    agent.assert_books_balance();
}
