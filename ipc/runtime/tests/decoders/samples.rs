//! One sample of every message, request and reply, encoded: the seeds of the fuzz targets.

mod admin;
mod logins;
mod pictures;
mod transfers;

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    time::Instant,
};

use lumen_ipc::{
    codec::{self, MAX_MESSAGE_BYTES, Message},
    demand::Demand,
    graphics::{Encoding, GraphicsStatus, Judgement, Rung},
    lease::{self, LEASE_LIFE, Lease, LeaseRights, Proof, Stay},
    line::Line,
    link::{Generation, LinkName},
    log::{LogPage, LogSource},
    login::{
        Login, LoginEvent, LoginId, LoginNews, LoginRefusal, Method, Progress, Rights,
        SignInMethod, SignedIn, Visitor,
    },
    message::{
        desktop::{self, Cursor, CursorImage, Statement},
        grants, handover,
        input::{self, Action, Locks, OutputPoint, PointerDelta, PressState},
        login::{AccountName, DisplayName, List, Prompt, Prompts, Style},
        oidc::OidcFailure,
        packets::{self, FrameStamps, VideoPacket},
        pads::{self, PadAction, PadReport},
        presence,
        session::{self, SessionHash, SessionName, TokenDigest},
        signalling,
        sound::{self, SoundDemand, Speech},
        voice,
    },
    process::Worker,
    ring::{RingCapacity, RingSpan},
    service::{
        AppNews, AppState, AppStatus, BrokerRequest, BrokerResponse, ControlRequest,
        ControlResponse, Refusal, RelayCredentials, RelayPair, SessionStatus, Shortages,
        TuningRequest, TuningResponse,
    },
    sound::{Percent, SamplePosition, SoundFormat, SoundKbps, SoundPayload},
    text::{Secret, Text},
    tls::Fingerprint,
    units::{
        ButtonCode, FrameSequence, FrameSize, Kbps, KeyCode, MonotonicMicros, OutputId, OutputSize,
        PadIndex, PeerId, Scale, SessionId, StreamId,
    },
    video::{VideoFormat, VideoFormats},
    vouching::VoucherFault,
};
use serde::Serialize;
use tarpc::{ClientMessage, Request, Response, context};

use admin::{admin_samples, sign_in};
use logins::{login_back_samples, login_samples, oidc_back_samples, oidc_samples};
use pictures::frames_back_samples;
pub(crate) use pictures::{frames_samples, layers};
use transfers::{transfer_back_samples, transfer_samples};

/// One sample of every message, each checked by encoding and decoding it.
pub(crate) fn samples() -> Vec<(&'static str, usize, Vec<u8>)> {
    let mut all = Vec::new();
    let mut add = |target, encoded: Vec<Vec<u8>>| {
        let numbered = encoded.into_iter().enumerate();
        all.extend(numbered.map(|(number, bytes)| (target, number, bytes)));
    };
    add("desktop_to_rtc", encode_all(&desktop_samples()));
    add("frames_to_compositor", encode_all(&frames_back_samples()));
    add("frames_to_media", encode_all(&frames_samples()));
    add("grants_to_supervisor", encode_all(&grants_back_samples()));
    add("grants_to_worker", encode_all(&grants_samples()));
    add("handover_to_turn", encode_all(&[handover::ToTurn::Plain, handover::ToTurn::Secured]));
    add("input_to_compositor", encode_all(&input_samples()));
    add("input_to_rtc", encode_all(&input_back_samples()));
    add("login_to_leader", encode_all(&login_samples()));
    add("login_to_supervisor", encode_all(&login_back_samples()));
    add("oidc_to_oidc", encode_all(&oidc_samples()));
    add("oidc_to_supervisor", encode_all(&oidc_back_samples()));
    add("packets_to_media", encode_all(&packets_back_samples()));
    add("packets_to_rtc", encode_all(&packets_samples()));
    add("pads_to_gamepad", encode_all(&pads_samples()));
    add("pads_to_rtc", encode_all(&pads_back_samples()));
    add("presence_to_gamepad", encode_all(&presence_samples()));
    add("session_to_host", encode_all(&session_samples()));
    add("session_to_session", encode_all(&session_back_samples()));
    add("signalling_to_gateway", encode_all(&signalling_back_samples()));
    add("signalling_to_rtc", encode_all(&signalling_samples()));
    add("sound_to_rtc", encode_all(&[sound_sample()]));
    add("sound_to_sound", encode_all(&sound_back_samples()));
    add("voice_to_sound", encode_all(&voice_samples()));
    add("transfer_to_compositor", encode_all(&transfer_samples()));
    add("transfer_to_rtc", encode_all(&transfer_back_samples()));
    add("rpc_admin", admin_samples());
    add("rpc_broker", broker_samples());
    add("rpc_control", control_samples());
    add(
        "rpc_tuning",
        vec![
            request(TuningRequest::Demand {
                demand: Demand {
                    stream: StreamId::VIDEO,
                    watchers: 2,
                    size: Some(OutputSize::nearest(1280, 720, Scale::nearest(1.25))),
                    format: Some(VideoFormat::H264ConstrainedBaseline),
                    bitrate: Kbps::MAX,
                    keyframes: 300,
                },
            }),
            reply(TuningResponse::Demand(Err(Refusal::because("There is no such stream.")))),
        ],
    );
    all
}

fn control_samples() -> Vec<Vec<u8>> {
    vec![
        request(ControlRequest::Start { grants: 6 }),
        request(ControlRequest::SetCandidates {
            candidates: vec![
                ([192, 0, 2, 1], 5000).into(),
                "[2001:db8::1]:5000".parse().expect("an address"),
            ],
        }),
        reply(ControlResponse::Drain(Ok(()))),
        request(ControlRequest::Alive {}),
        reply(ControlResponse::Alive(())),
        request(ControlRequest::SetLeases { leases: vec![lease()] }),
        request(ControlRequest::SetRights {
            rights: vec![LeaseRights { lease: lease().id, rights: lease().rights }],
        }),
    ]
}

fn request<T: Serialize>(message: T) -> Vec<u8> {
    let mut context = context::current();
    // In the past it is encoded as zero seconds, and the trace as zeroes: the same on every run.
    context.deadline = Instant::now();
    context.trace_context = tarpc::trace::Context::default();
    let request = ClientMessage::Request(Request { context, id: 1, message });
    postcard::to_stdvec(&request).expect("encodable")
}

fn reply<T: Serialize>(message: T) -> Vec<u8> {
    let reply = Response { request_id: 1, message: Ok(message) };
    postcard::to_stdvec(&reply).expect("encodable")
}

pub(crate) fn encode_all<M: Message + PartialEq + std::fmt::Debug>(messages: &[M]) -> Vec<Vec<u8>> {
    messages
        .iter()
        .map(|message| {
            let mut buffer = vec![0; MAX_MESSAGE_BYTES];
            let bytes = codec::encode(message, &mut buffer).expect("it fits").to_vec();
            let decoded = codec::decode::<M>(&bytes, message.descriptors());
            assert_eq!(decoded.as_ref(), Ok(message));
            bytes
        })
        .collect()
}

fn size() -> FrameSize {
    FrameSize::new(1920, 1080).expect("legal")
}

fn desktop_samples() -> Vec<desktop::ToRtc> {
    let image = CursorImage::new((2, 2), (1, 1), (0..16).collect()).expect("legal");
    [
        Statement::CursorChanged(Cursor::Hidden),
        Statement::CursorChanged(Cursor::Named(Text::truncated("pointer"))),
        Statement::CursorChanged(Cursor::Image(image)),
        Statement::OutputResized(OutputSize::nearest(1920, 1080, Scale::nearest(1.5))),
        Statement::TitleChanged(Line::of("Häuser.txt")),
    ]
    .map(|statement| desktop::ToRtc { output: OutputId::PRIMARY, statement })
    .to_vec()
}

pub(crate) fn grants_samples() -> Vec<grants::ToWorker> {
    vec![
        grants::ToWorker::LinkEnd { link: LinkName::Frames, generation: Generation(300) },
        grants::ToWorker::HttpListener,
        grants::ToWorker::MediaSocket,
        grants::ToWorker::PageCertificate,
        grants::ToWorker::BridgeClient,
        grants::ToWorker::PadDevices,
        grants::ToWorker::ProxyConnection { vouches: true },
        grants::ToWorker::RelayDatagrams,
        grants::ToWorker::RenderNode,
        grants::ToWorker::SignallingEnd { session: SessionId(300), generation: Generation(300) },
        grants::ToWorker::SoundServer,
        grants::ToWorker::SoundSinkOwner,
        grants::ToWorker::TrialReport,
        grants::ToWorker::TrialVideo,
        grants::ToWorker::WaylandListener,
    ]
}

fn grants_back_samples() -> Vec<grants::ToSupervisor> {
    let (link, generation) = (LinkName::Frames, Generation(300));
    let lost = |reason| grants::ToSupervisor::LinkLost { link, generation, reason };
    let session = SessionId(300);
    vec![
        lost(grants::LossReason::Closed),
        lost(grants::LossReason::Failed),
        lost(grants::LossReason::Full),
        lost(grants::LossReason::TimedOut),
        lost(grants::LossReason::Unusable),
        grants::ToSupervisor::LinkViolated { link, generation },
        grants::ToSupervisor::SignallingLost {
            session,
            generation,
            reason: grants::LossReason::Full,
        },
        grants::ToSupervisor::SoundServerWanted,
        grants::ToSupervisor::SoundSinkMade,
        grants::ToSupervisor::SoundSinkReady,
        grants::ToSupervisor::ViewerActs,
        grants::ToSupervisor::SignallingViolated { session, generation },
        grants::ToSupervisor::NodeJudged(Judgement::Draws {
            renderer: Text::truncated("Mesa"),
            encoding: Encoding::Vaapi {
                driver: Text::truncated("Mesa"),
                reason: Text::truncated("it is faster"),
            },
        }),
        grants::ToSupervisor::NodeJudged(Judgement::Draws {
            renderer: Text::truncated("Mesa"),
            encoding: Encoding::InPlace {
                driver: Text::truncated("Mesa"),
                reason: Text::default(),
            },
        }),
        grants::ToSupervisor::NodeJudged(Judgement::Draws {
            renderer: Text::truncated("Mesa"),
            encoding: Encoding::Processor { reason: Text::default() },
        }),
        grants::ToSupervisor::NodeJudged(Judgement::Declines { reason: Text::truncated("none") }),
    ]
}

fn sound_sample() -> sound::ToRtc {
    sound::ToRtc {
        stream: StreamId::SOUND,
        format: SoundFormat::OpusStereo,
        position: SamplePosition(48_000_000),
        captured: MonotonicMicros(1_000_000_000),
        begins: true,
        payload: SoundPayload::new(vec![0xfc, 0xff, 0xfe]).expect("short"),
    }
}

fn sound_back_samples() -> [sound::ToSound; 2] {
    let (bitrate, loss) = (SoundKbps::MAX, Percent::clamped(5));
    let demand = SoundDemand { stream: StreamId::SOUND, listeners: 2, bitrate, loss };
    let payload = SoundPayload::new(vec![0xfc, 0xff, 0xfe]).expect("short");
    let speech = Speech { peer: PeerId(3), sequence: 70_000, payload };
    [sound::ToSound::Wanted(demand), sound::ToSound::Said(speech)]
}

fn relay_credentials() -> RelayCredentials {
    RelayCredentials {
        urls: vec![Text::truncated("turn:*:3478?transport=udp")],
        username: Text::truncated("1800000000:viewer:1:7:1"),
        password: Secret::new("proof").expect("short"),
        lifetime_seconds: 3600,
    }
}

fn pads_samples() -> Vec<pads::ToGamepad> {
    let report =
        PadReport { buttons: 1 << 16, sticks: [i16::MIN, 0, 1, i16::MAX], triggers: [0, 255] };
    [
        PadAction::Plugged(PadIndex::MIN),
        PadAction::Reported(PadIndex::MAX, report),
        PadAction::Unplugged(PadIndex::MIN),
        PadAction::PeerLeft,
    ]
    .map(|action| pads::ToGamepad { peer: PeerId(3), action })
    .to_vec()
}

fn pads_back_samples() -> Vec<pads::ToRtc> {
    let (peer, pad) = (PeerId(3), PadIndex::MIN);
    vec![
        pads::ToRtc::Available(true),
        pads::ToRtc::Rumbled { peer, pad, strong: u16::MAX, weak: 1, millis: 500 },
    ]
}

fn presence_samples() -> [presence::ToGamepad; 2] {
    [Stay::NOBODY, Stay::somebody(LEASE_LIFE)].map(presence::ToGamepad)
}

fn voice_samples() -> [voice::ToSound; 2] {
    [Stay::NOBODY, Stay::somebody(LEASE_LIFE)].map(voice::ToSound)
}

fn input_samples() -> Vec<input::ToCompositor> {
    let at = OutputPoint { x: 0, y: u16::MAX };
    let state = PressState::Pressed;
    [
        Action::Key { key: KeyCode::MIN, state, locks: Some(Locks { caps: true, num: false }) },
        Action::PointerTo(at),
        Action::PointerBy(PointerDelta { dx: i16::MIN, dy: i16::MAX }),
        Action::Button { button: ButtonCode::MIN, state: PressState::Released, at },
        Action::Wheel { right_v120: 0, down_v120: -120 },
        Action::Scroll { right_sixteenths: 7, down_sixteenths: 0 },
        Action::ReleaseAll,
        Action::PeerLeft,
        Action::StillHeld,
        Action::Proved(Proof { lease: lease().id, tag: lease::EXAMPLE.1 }),
    ]
    .map(|action| input::ToCompositor { peer: PeerId(3), output: OutputId::MAX, action })
    .to_vec()
}

fn packets_samples() -> Vec<packets::ToRtc> {
    vec![
        packets::ToRtc::RingAnnounced {
            stream: StreamId::VIDEO,
            capacity: RingCapacity::new(1 << 20).expect("legal"),
        },
        packets::ToRtc::VideoPacket(VideoPacket {
            stream: StreamId::VIDEO,
            span: RingSpan { position: 1 << 40, length: 90_000 },
            format: VideoFormat::H264ConstrainedBaseline,
            keyframe: true,
            sequence: FrameSequence(300),
            size: size(),
            stamps: FrameStamps::default(),
        }),
        packets::ToRtc::RingRetired { stream: StreamId::MAX },
        packets::ToRtc::FormatsOffered { stream: StreamId::VIDEO, formats: VideoFormats::all() },
    ]
}

fn packets_back_samples() -> Vec<packets::ToMedia> {
    vec![packets::ToMedia::RingConsumed { stream: StreamId::VIDEO, position: 70_000 }]
}

fn session_samples() -> Vec<session::ToHost> {
    let registered = |was, name| session::ToHost::Registered {
        // The real hash would change this seed with every change of the sources.
        form: SessionHash(300),
        was,
        name,
        token: TokenDigest([7; 32]),
        supervisor_pid: 4711,
        owner: 1000,
        age_seconds: 300,
    };
    let answered = |answer| session::ToHost::Answered { number: 300, answer };
    let state = AppState::Ended { reason: Text::truncated("It ended.") };
    let app = AppStatus { command: Text::truncated("foot"), pid: Some(4712) };
    let status = SessionStatus {
        id: SessionId(3),
        name: Text::truncated("work"),
        supervisor_pid: 4711,
        app,
        control_group: Some(true),
        shortages: Shortages { ended_for_memory: 2, not_started: 300 },
        graphics: Some(Box::new(GraphicsStatus {
            rung: Rung::Drawn,
            node: Text::truncated("/dev/dri/renderD128"),
            driver: Text::truncated("i915"),
            renderer: Text::truncated("Mesa"),
            encoder: Text::default(),
            reason: Text::default(),
        })),
        workers: Vec::new(),
    };
    vec![
        registered(None, None),
        registered(Some(SessionId(3)), SessionName::new("work").ok()),
        session::ToHost::AppChanged { serial: 2, state },
        session::ToHost::Acts,
        session::ToHost::SignallingWanted,
        answered(session::Answer::Done(Err(Refusal::because("It runs.")))),
        answered(session::Answer::Logs(LogPage { lines: Vec::new() })),
        answered(session::Answer::Metrics(Vec::new())),
        answered(session::Answer::Status(status)),
        session::ToHost::LeaseTaken { lease: lease().id },
    ]
}

fn session_back_samples() -> Vec<session::ToSession> {
    let asked = |question| session::ToSession::Asked { number: 300, question };
    let welcomed = |audience| {
        let session = SessionId(3);
        session::ToSession::Welcomed { session, relay: None, audience }
    };
    let worker = Worker::Rtc;
    let opened = |fingerprint| {
        let page = Text::truncated("http://a/");
        session::ToSession::Opened { page, with_token: true, fingerprint }
    };
    vec![
        session::ToSession::Refused { reason: Text::truncated("There is one of that name.") },
        welcomed(session::Audience::ThisMachine),
        welcomed(session::Audience::Everyone),
        opened(None),
        opened(Some(Fingerprint::new(&[0xa5; 32]))),
        session::ToSession::SignallingEnd,
        session::ToSession::RtcViolated,
        session::ToSession::PagesTold { serial: 2 },
        asked(session::Question::Logs { source: Some(LogSource::Worker(worker)), after: 300 }),
        asked(session::Question::Metrics { worker }),
        asked(session::Question::Restart { worker }),
        asked(session::Question::StartApp),
        asked(session::Question::Status),
        session::ToSession::StopAsked { why: None },
        session::ToSession::StopAsked { why: Some(Text::truncated("Nobody used it.")) },
        session::ToSession::Logins { live: vec![login().id] },
        session::ToSession::Leased { lease: lease() },
        session::ToSession::Granted {
            // The real hash would change this seed with every change of the sources.
            form: SessionHash(300),
            account: AccountName::new("alice").expect("legal"),
            uid: 4001,
            display: DisplayName::new("wayland-lumen").expect("legal"),
            runtime_dir: Text::truncated("/run/user/4001"),
            host: Text::truncated("default"),
            beside: true,
        },
    ]
}

fn broker_samples() -> Vec<Vec<u8>> {
    [attempt_samples(), signed_in_samples()].concat()
}

/// Of pages that sign in.
fn attempt_samples() -> Vec<Vec<u8>> {
    vec![
        request(BrokerRequest::Resume { key: Secret::new("key").expect("short"), named: None }),
        reply(BrokerResponse::Resume(Err(LoginRefusal::Wrong))),
        request(BrokerRequest::MintRelayCredentials { session: SessionId(1), peer: PeerId(7) }),
        reply(BrokerResponse::MintRelayCredentials(Some(RelayPair {
            viewer: relay_credentials(),
            rtc: relay_credentials(),
        }))),
        request(BrokerRequest::WatchApp { seen: 300 }),
        reply(BrokerResponse::WatchApp(Some(AppNews {
            number: 301,
            session: SessionId(1),
            state: AppState::Ended { reason: Text::truncated("It ended.") },
        }))),
        request(BrokerRequest::StartApp { session: SessionId(1) }),
        reply(BrokerResponse::StartApp(Err(Refusal::because("It runs.")))),
        request(BrokerRequest::Begin {
            method: Method::Token(secret("token")),
            from: Ipv4Addr::LOCALHOST.into(),
        }),
        reply(BrokerResponse::Begin(Ok(done(List::default())))),
        request(BrokerRequest::Resume {
            key: secret("key"),
            named: Some(AccountName::new("alice").expect("legal")),
        }),
        reply(BrokerResponse::Resume(Err(LoginRefusal::Wrong))),
        request(BrokerRequest::Distrusted {
            fault: VoucherFault::Repeated,
            from: Ipv4Addr::LOCALHOST.into(),
        }),
        reply(BrokerResponse::Distrusted(())),
        request(BrokerRequest::SignOut { key: secret("key") }),
        reply(BrokerResponse::SignOut(Some((login().session, login().id)))),
        request(BrokerRequest::MintLease { key: Some(secret("key")) }),
        reply(BrokerResponse::MintLease(Some(lease()))),
        request(BrokerRequest::Begin {
            method: Method::Open((Ipv4Addr::LOCALHOST, 40_000).into()),
            from: Ipv4Addr::LOCALHOST.into(),
        }),
        reply(BrokerResponse::Begin(Err(LoginRefusal::OtherUser))),
        request(BrokerRequest::Begin {
            method: Method::Password(AccountName::new("alice").expect("legal")),
            from: Ipv4Addr::LOCALHOST.into(),
        }),
        request(BrokerRequest::Begin {
            method: Method::Proxy(AccountName::new("alice").expect("legal")),
            from: Ipv4Addr::LOCALHOST.into(),
        }),
        reply(BrokerResponse::Begin(Ok(Progress::Asked {
            attempt: secret("attempt"),
            prompts: said(Style::Secret),
        }))),
        request(BrokerRequest::Answer {
            attempt: secret("attempt"),
            answers: List::new(vec![secret("password")]).expect("few"),
        }),
        reply(BrokerResponse::Answer(Ok(done(said(Style::Info))))),
        reply(BrokerResponse::Answer(Err(LoginRefusal::Denied))),
        reply(BrokerResponse::Answer(Err(LoginRefusal::NoDesktop))),
        reply(BrokerResponse::Answer(Err(LoginRefusal::InUse))),
        reply(BrokerResponse::Answer(Err(LoginRefusal::NotStarted))),
        reply(BrokerResponse::Answer(Err(LoginRefusal::TooManyOwn { most: 300 }))),
        request(BrokerRequest::Begin {
            method: Method::Provider(Text::truncated("https://desk.example.org/")),
            from: Ipv4Addr::LOCALHOST.into(),
        }),
        reply(BrokerResponse::Begin(Ok(Progress::Away {
            attempt: secret("attempt"),
            url: Text::truncated("https://id.example.org/auth?state=x"),
        }))),
        request(BrokerRequest::Returned {
            attempt: secret("attempt"),
            query: Text::truncated("code=x&state=x"),
        }),
        reply(BrokerResponse::Returned(Err(LoginRefusal::Provider(OidcFailure::NoAccount)))),
    ]
}

/// Of pages that have signed in, and of the host.
fn signed_in_samples() -> Vec<Vec<u8>> {
    let news = |event| reply(BrokerResponse::WatchLogins(Some(LoginNews { number: 300, event })));
    vec![
        request(BrokerRequest::Abandon { attempt: secret("attempt") }),
        request(BrokerRequest::CertificateJudged {
            serial: 300,
            refused: Some(Text::truncated("it has expired")),
        }),
        reply(BrokerResponse::CertificateJudged(())),
        request(BrokerRequest::Metrics { session: Some(SessionId(3)) }),
        reply(BrokerResponse::Metrics(Vec::new())),
        news(LoginEvent::Given {
            session: SessionId(3),
            login: LoginId(u64::MAX),
            method: SignInMethod::Password,
            from: Ipv4Addr::LOCALHOST.into(),
        }),
        news(LoginEvent::Given {
            session: SessionId(3),
            login: LoginId(u64::MAX),
            method: SignInMethod::Oidc,
            from: Ipv4Addr::LOCALHOST.into(),
        }),
        news(LoginEvent::EndsSoon { session: SessionId(3), seconds: Some(60) }),
        request(BrokerRequest::Visited {
            visitors: vec![Visitor {
                session: SessionId(3),
                login: LoginId(u64::MAX),
                from: Ipv6Addr::LOCALHOST.into(),
            }],
        }),
        request(BrokerRequest::SignIns { key: secret("key") }),
        reply(BrokerResponse::SignIns(Some((LoginId(7), vec![sign_in()])))),
        request(BrokerRequest::Revoke { key: secret("key"), login: LoginId(7) }),
        reply(BrokerResponse::Revoke(true)),
    ]
}

fn done(said: Prompts) -> Progress {
    Progress::Done { signed_in: SignedIn { login: login(), key: Some(secret("key")) }, said }
}

fn said(style: Style) -> Prompts {
    List::new(vec![Prompt { style, text: Text::truncated("Password: ") }]).expect("one")
}

fn lease() -> Lease {
    lease::EXAMPLE.0
}

fn input_back_samples() -> Vec<input::ToRtc> {
    vec![input::ToRtc { lease: lease().id, challenge: lease().challenge }]
}

fn secret(text: &str) -> Secret {
    Secret::new(text).expect("short")
}

fn login() -> Login {
    let (id, session, rights) = (LoginId(u64::MAX), SessionId(1), Rights { control: true });
    Login { id, session, rights, expires_in_seconds: Some(86_400) }
}

fn signalling_samples() -> Vec<signalling::ToRtc> {
    let peer = PeerId(u64::MAX);
    vec![
        signalling::ToRtc::PeerJoined { peer, login: login(), relay: Some(relay_credentials()) },
        signalling::ToRtc::OfferMade { peer, sdp: Text::truncated("v=0\r\n") },
        signalling::ToRtc::CandidateFound { peer, candidate: Text::truncated("candidate:1") },
        signalling::ToRtc::PeerGone { peer },
        signalling::ToRtc::RelayRenewed { peer, relay: relay_credentials() },
        signalling::ToRtc::PeerResumed {
            peer,
            login: login(),
            ticket: secret("ticket"),
            relay: None,
        },
        signalling::ToRtc::SignallingLost { peer },
        signalling::ToRtc::LoginRenewed { peer, login: login() },
        signalling::ToRtc::LoginEnded { login: login().id },
    ]
}

fn signalling_back_samples() -> Vec<signalling::ToGateway> {
    let peer = PeerId(1);
    vec![
        signalling::ToGateway::AnswerMade {
            peer,
            sdp: Text::truncated("v=0\r\n"),
            ticket: secret("ticket"),
        },
        signalling::ToGateway::CandidateFound { peer, candidate: Text::truncated("candidate:1") },
        signalling::ToGateway::PeerClosed {
            peer,
            reason: Text::truncated("the offer has no video"),
            retry: false,
        },
    ]
}
