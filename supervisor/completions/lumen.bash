# Completions of lumen, made of its tables of commands and options by `make tables`.
# shellcheck shell=bash

_lumen() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} at
    COMPREPLY=()
    # bash makes words of their own of `=` and what follows it.
    if [ "$word" = = ]; then
        word=''
    elif [ "$before" = = ]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if ((COMP_CWORD > 1)); then
        for ((at = 2; at < COMP_CWORD; at++)); do
            if [ "${COMP_WORDS[at]}" = -- ]; then
                mapfile -t COMPREPLY < <(compgen -A command -A file -- "$word")
                return
            fi
        done
        case $before in
            --app) return ;;
            --app-memory) mapfile -t COMPREPLY < <(compgen -W 'none' -- "$word"); return ;;
            --app-tasks) mapfile -t COMPREPLY < <(compgen -W 'none' -- "$word"); return ;;
            --listen) return ;;
            --trusted-proxy) return ;;
            --base-path) return ;;
            --tls) mapfile -t COMPREPLY < <(compgen -W 'auto on off' -- "$word"); return ;;
            --tls-cert) mapfile -t COMPREPLY < <(compgen -A file -- "$word"); return ;;
            --tls-key) mapfile -t COMPREPLY < <(compgen -A file -- "$word"); return ;;
            --size) return ;;
            --resize) mapfile -t COMPREPLY < <(compgen -W 'follow fixed' -- "$word"); return ;;
            --clipboard) mapfile -t COMPREPLY < <(compgen -W 'both to-desktop from-desktop off' -- "$word"); return ;;
            --fps) return ;;
            --gpu) mapfile -t COMPREPLY < <(compgen -W 'auto off' -- "$word"); return ;;
            --report) mapfile -t COMPREPLY < <(compgen -A file -- "$word"); return ;;
            --encoder) mapfile -t COMPREPLY < <(compgen -W 'auto cpu vaapi' -- "$word"); return ;;
            --bitrate) return ;;
            --auth) mapfile -t COMPREPLY < <(compgen -W 'token password none' -- "$word"); return ;;
            --login-socket) mapfile -t COMPREPLY < <(compgen -A file -- "$word"); return ;;
            --session-socket) mapfile -t COMPREPLY < <(compgen -A file -- "$word"); return ;;
            --login-groups) return ;;
            --proxy-socket) mapfile -t COMPREPLY < <(compgen -A file -- "$word"); return ;;
            --proxy-user) return ;;
            --proxy-header) return ;;
            --oidc-socket) mapfile -t COMPREPLY < <(compgen -A file -- "$word"); return ;;
            --oidc-name) return ;;
            --login-idle) return ;;
            --login-life) return ;;
            --session-unwatched) mapfile -t COMPREPLY < <(compgen -W 'none' -- "$word"); return ;;
            --session-idle) mapfile -t COMPREPLY < <(compgen -W 'none' -- "$word"); return ;;
            --session-in-use) mapfile -t COMPREPLY < <(compgen -W 'attach new refuse' -- "$word"); return ;;
            --sessions-per-user) return ;;
            --sessions-total) return ;;
            --metrics-token-file) mapfile -t COMPREPLY < <(compgen -A file -- "$word"); return ;;
            --user) mapfile -t COMPREPLY < <(compgen -A user -- "$word"); return ;;
            --udp-listen) mapfile -t COMPREPLY < <(compgen -W 'auto' -- "$word"); return ;;
            --udp-port) return ;;
            --public-address) return ;;
            --relay) mapfile -t COMPREPLY < <(compgen -W 'on off' -- "$word"); return ;;
            --relay-port) return ;;
            --relay-tls-port) return ;;
            --relay-cert) mapfile -t COMPREPLY < <(compgen -A file -- "$word"); return ;;
            --relay-key) mapfile -t COMPREPLY < <(compgen -A file -- "$word"); return ;;
            --relay-name) return ;;
            --layout) return ;;
            --layout-variant) return ;;
            --layout-options) return ;;
            --pad) mapfile -t COMPREPLY < <(compgen -W 'xbox360 xboxone dualshock4 switchpro off' -- "$word"); return ;;
            --pad-grace) return ;;
            --sound) mapfile -t COMPREPLY < <(compgen -W 'on off' -- "$word"); return ;;
            --sound-bitrate) return ;;
            --microphone) mapfile -t COMPREPLY < <(compgen -W 'on off' -- "$word"); return ;;
            --log) return ;;
            --config) mapfile -t COMPREPLY < <(compgen -A file -- "$word"); return ;;
            --name) return ;;
            --host) return ;;
            --workers-dir) mapfile -t COMPREPLY < <(compgen -A file -- "$word"); return ;;
        esac
    fi
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W 'run serve session status sessions users revoke restart logs config doctor metrics stop --help --version' -- "$word"); return
    fi
    case $command in
        run) mapfile -t COMPREPLY < <(compgen -W '--app --app-memory --app-tasks --listen --trusted-proxy --base-path --tls --tls-cert --tls-key --size --resize --clipboard --fps --gpu --encoder --bitrate --auth --login-socket --session-socket --login-groups --proxy-socket --proxy-user --proxy-header --oidc-socket --oidc-name --login-idle --login-life --session-unwatched --session-idle --session-in-use --sessions-per-user --sessions-total --metrics-token-file --user --udp-listen --udp-port --public-address --relay --relay-port --relay-tls-port --relay-cert --relay-key --relay-name --x11 --layout --layout-variant --layout-options --pad --pad-grace --sound --sound-bitrate --microphone --log --config --name --workers-dir --help' -- "$word"); return ;;
        serve) mapfile -t COMPREPLY < <(compgen -W '--listen --trusted-proxy --base-path --tls --tls-cert --tls-key --auth --login-socket --session-socket --login-groups --proxy-socket --proxy-user --proxy-header --oidc-socket --oidc-name --login-idle --login-life --session-unwatched --session-idle --session-in-use --sessions-per-user --sessions-total --metrics-token-file --public-address --relay --relay-port --relay-tls-port --relay-cert --relay-key --relay-name --log --config --name --workers-dir --help' -- "$word"); return ;;
        session) mapfile -t COMPREPLY < <(compgen -W '--app --app-memory --app-tasks --size --resize --clipboard --fps --gpu --encoder --bitrate --user --udp-listen --udp-port --public-address --x11 --layout --layout-variant --layout-options --pad --pad-grace --sound --sound-bitrate --microphone --log --config --host --name --granted --workers-dir --help' -- "$word"); return ;;
        status) mapfile -t COMPREPLY < <(compgen -W '--name --json --help' -- "$word"); return ;;
        sessions) mapfile -t COMPREPLY < <(compgen -W '--name --json --help' -- "$word"); return ;;
        users) mapfile -t COMPREPLY < <(compgen -W '--name --json --help' -- "$word"); return ;;
        revoke) mapfile -t COMPREPLY < <(compgen -W 'session user --name --help' -- "$word"); return ;;
        restart) mapfile -t COMPREPLY < <(compgen -W 'compositor media sound rtc gamepad gateway turn --name --help' -- "$word"); return ;;
        logs) mapfile -t COMPREPLY < <(compgen -W 'lumen app bus xserver clipboard pipewire wireplumber pulse compositor media sound rtc gamepad gateway turn --name --follow --help' -- "$word"); return ;;
        config) mapfile -t COMPREPLY < <(compgen -A file -W 'check show --config --help' -- "$word"); return ;;
        doctor) mapfile -t COMPREPLY < <(compgen -A file -W '--app-memory --app-tasks --listen --trusted-proxy --base-path --tls --tls-cert --tls-key --gpu --report --udp-listen --udp-port --public-address --relay --relay-port --relay-tls-port --relay-cert --relay-key --relay-name --config --workers-dir --json --help' -- "$word"); return ;;
        metrics) mapfile -t COMPREPLY < <(compgen -W '--name --json --help' -- "$word"); return ;;
        stop) mapfile -t COMPREPLY < <(compgen -W '--name --help' -- "$word"); return ;;
    esac
}

complete -F _lumen lumen
