//! What each metric is, in a sentence for whoever looks at a chart.

/// The sentence about the metric that Prometheus knows by this name.
pub(super) fn of(name: &str) -> &'static str {
    let found = HELP.binary_search_by(|(known, _)| (*known).cmp(name)).ok();
    found.and_then(|at| HELP.get(at)).map_or(UNKNOWN, |(_, help)| help)
}

/// For a metric that the table lacks.
pub(super) const UNKNOWN: &str = "A figure that is not described.";

/// Every metric, in the order of the names.
const HELP: [(&str, &str); 118] = [
    ("lumen_app_frames_taken_total", "Frames that are an app's buffer, taken without being drawn."),
    ("lumen_buffers_announced_total", "Frame buffers that the compositor announced to media."),
    ("lumen_callback_rounds_total", "Rounds in which apps were asked to draw."),
    ("lumen_clients_accepted_total", "Wayland clients that connected."),
    ("lumen_clients_faulty_total", "Wayland clients that were ended for what they did."),
    ("lumen_clients_refused_total", "Wayland clients that were refused."),
    (
        "lumen_coded_format_number",
        "Format of the encoded picture: 0 H.264 Main, 1 H.264 Constrained Baseline, 2 VP8.",
    ),
    ("lumen_coded_height_pixels", "Height of the encoded picture."),
    ("lumen_coded_width_pixels", "Width of the encoded picture."),
    ("lumen_commit_to_rendered_seconds", "From an app's commit to the rendered frame."),
    ("lumen_commit_to_sent_seconds", "From an app's commit to the first packet sent."),
    ("lumen_convert_seconds", "Conversion of a frame's colours."),
    ("lumen_damage_bytes_total", "Bytes of pixels that changed."),
    ("lumen_devices", "Virtual gamepads that exist."),
    ("lumen_devices_created_total", "Virtual gamepads that were created."),
    ("lumen_devices_destroyed_total", "Virtual gamepads that were destroyed."),
    ("lumen_direct_pictures_encoded_total", "Pictures that Lumen's own coder encoded."),
    (
        "lumen_effort_level",
        "How the encoder works: 0 quickly, 1 thoroughly, 2 thriftily with bits.",
    ),
    ("lumen_encode_seconds", "Encoding of a picture."),
    ("lumen_encoded_bytes", "Bytes of an encoded picture."),
    ("lumen_encoded_bytes_total", "Bytes of all encoded pictures."),
    ("lumen_encoded_to_sent_seconds", "From the encoded picture to its first packet sent."),
    ("lumen_frame_release_seconds", "How long media kept a frame buffer."),
    ("lumen_frame_wait_seconds", "How long a frame waited for media."),
    ("lumen_frames_drawn_total", "Frames that media drew by the graphics processor."),
    ("lumen_frames_dropped_total", "Pieces of sound that were too late to be sent."),
    ("lumen_frames_encoded_total", "Pieces of sound that were encoded."),
    ("lumen_frames_failed_total", "Frames that could not be drawn."),
    ("lumen_frames_mapped_total", "Frames that the processor touched before they were encoded."),
    ("lumen_frames_rendered_total", "Frames that the compositor drew."),
    ("lumen_frames_taken_total", "Frames that media took."),
    ("lumen_frames_total", "Frames that were sent to media."),
    ("lumen_frames_unchanged_total", "Frames in which nothing had changed."),
    ("lumen_frames_undrawn_total", "Frames that needed no drawing."),
    (
        "lumen_graphics_rung",
        "Who draws: 1 the graphics processor, which encodes, too, 2 it only draws, 3 the processor.",
    ),
    ("lumen_http_connections_refused_total", "Connections that found no place or had to give way."),
    ("lumen_http_connections_total", "Connections that the gateway accepted."),
    ("lumen_http_requests_refused_total", "Requests that were refused for their form."),
    ("lumen_input_events_sent_total", "Input events passed on to the compositor."),
    ("lumen_input_events_total", "Input events of viewers."),
    ("lumen_input_messages_sent_total", "Messages of input passed on to the compositor."),
    ("lumen_input_refused_total", "Input events that were refused."),
    ("lumen_keyframes_encoded_total", "Keyframes that were encoded."),
    ("lumen_keyframes_requested_total", "Keyframes that viewers asked for."),
    (
        "lumen_ladder_rung_number",
        "How far frame rate and size are lowered for the network; 0 is not at all.",
    ),
    ("lumen_limit_pictures_per_second", "The most pictures a second that the network allows."),
    ("lumen_link_violations_total", "Breaches of the contract by the other end of a link."),
    ("lumen_listeners", "Viewers who are sent sound."),
    ("lumen_logins_refused_total", "Logins that were refused."),
    ("lumen_logins_total", "Logins of browsers."),
    ("lumen_macroblocks_converted_total", "Macroblocks whose colours were converted."),
    ("lumen_metrics_left_out", "Whether samples are missing here because there are too many."),
    (
        "lumen_metrics_refused_total",
        "Requests for metrics or readiness of others than may have them.",
    ),
    ("lumen_network_bits_per_second", "What the network carries, as far as is known."),
    ("lumen_network_queue_seconds", "How long packets wait in the network."),
    ("lumen_networks_limited_by_loss", "Viewers whose network loses packets."),
    ("lumen_networks_limited_by_queue", "Viewers whose network delays packets."),
    ("lumen_output_resizes_total", "Changes of the desktop's size."),
    ("lumen_packets_arrived_total", "Packets that browsers reported as arrived."),
    ("lumen_packets_dropped_total", "Packets that were dropped before they were sent."),
    ("lumen_packets_foreign_total", "Datagrams of nobody who is known."),
    ("lumen_packets_lost_total", "Packets that browsers reported as lost."),
    ("lumen_packets_received_total", "Datagrams received."),
    ("lumen_packets_sent_total", "Datagrams sent."),
    ("lumen_pad_messages_received_total", "Messages of viewers' gamepads."),
    ("lumen_pad_messages_sent_total", "Messages to viewers' gamepads."),
    ("lumen_pads_turned_away_total", "Gamepads for which there was no place."),
    ("lumen_peers", "Browsers that are connected."),
    ("lumen_peers_behind", "Browsers whose network is too slow for the picture of the others."),
    ("lumen_peers_ended_total", "Connections of browsers that ended."),
    ("lumen_peers_misbehaved_total", "Browsers that were disconnected for what they sent."),
    (
        "lumen_pictures_encoded_again_total",
        "Pictures that were encoded again because they were too large.",
    ),
    ("lumen_pictures_encoded_total", "Pictures that were encoded."),
    ("lumen_process_cpu_seconds_total", "Processor time of the worker."),
    ("lumen_process_involuntary_switches_total", "How often the worker lost the processor."),
    ("lumen_process_resident_peak_bytes", "Most memory that the worker had."),
    ("lumen_process_voluntary_switches_total", "How often the worker waited."),
    ("lumen_proofs_refused_total", "Proofs of a viewer's presence that did not count."),
    ("lumen_quantizer_steps", "How coarse a picture is, in steps of the quantizer."),
    ("lumen_queue_bytes", "Bytes that wait to be sent."),
    ("lumen_refinements_encoded_total", "Pictures that sharpen a still desktop."),
    ("lumen_relay_allocations", "Allocations of the relay."),
    ("lumen_relay_bindings_total", "Requests for an own address that the relay answered."),
    ("lumen_relay_challenges_total", "Requests that the relay answered with a challenge."),
    ("lumen_relay_connections", "Connections to the relay by TCP and TLS."),
    ("lumen_relay_connections_handed_over_total", "Connections to the page's port for the relay."),
    ("lumen_relay_connections_refused_total", "Connections that the relay refused."),
    ("lumen_relay_data_bytes_total", "Bytes that the relay passed on."),
    ("lumen_relay_foreign_total", "Data for the relay of nobody who is known."),
    ("lumen_relay_limited_total", "Datagrams beyond the relay's limits."),
    ("lumen_relay_lost_total", "Data that the relay could not pass on."),
    ("lumen_relay_malformed_total", "Messages to the relay that are none."),
    ("lumen_relay_not_permitted_total", "Data that the relay may not pass on."),
    ("lumen_relay_packets_total", "Packets that the relay passed on."),
    ("lumen_relay_refusals_total", "Requests that the relay refused."),
    ("lumen_render_seconds", "Drawing of a frame."),
    ("lumen_rumbles_sent_total", "Effects of games that were sent to gamepads."),
    ("lumen_send_errors_total", "Datagrams that the kernel did not take."),
    ("lumen_sent_bytes_total", "Bytes of all datagrams sent."),
    ("lumen_sessions", "Sessions of the host."),
    ("lumen_signalling_browsers", "Pages that are connected to the gateway."),
    ("lumen_signalling_messages_refused_total", "Signalling messages that were refused."),
    ("lumen_signalling_peers", "Connections to sessions that the gateway knows."),
    ("lumen_sound_frames_total", "Pieces of sound that were sent."),
    ("lumen_speakers", "Viewers whose voices are played."),
    (
        "lumen_speech_concealed_total",
        "Pieces of viewers' voices that were made up, because they were lost.",
    ),
    ("lumen_speech_frames_total", "Pieces of viewers' voices that were played."),
    ("lumen_speech_packets_total", "Packets of viewers' voices that were passed on."),
    ("lumen_speech_refused_total", "Packets of voices of nobody whose microphone is on."),
    ("lumen_target_bits_per_second", "The bit rate that the encoder aims at."),
    ("lumen_tls_handshakes_failed_total", "TLS handshakes that failed."),
    ("lumen_tls_handshakes_total", "TLS handshakes that were completed."),
    ("lumen_torn_frames_total", "Frames that an app changed while they were read."),
    ("lumen_wakeups_total", "How often the loop woke."),
    ("lumen_watchers", "Browsers that watch."),
    ("lumen_worker_ready", "Whether the worker serves."),
    ("lumen_worker_resident_bytes", "Memory that the worker has."),
    ("lumen_worker_restarts_total", "How often the worker was started anew."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_made_of_sentences() {
        assert!(HELP.windows(2).all(|pair| pair[0].0 < pair[1].0), "{HELP:?}");
        for (name, help) in HELP {
            assert_eq!(of(name), help);
            assert!(help.ends_with('.') && !help.contains(['\n', '\\']), "{name}");
        }
        assert_eq!(of("lumen_something_else"), UNKNOWN);
    }
}
