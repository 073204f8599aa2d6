# Completion of cloudskin for bash; installed as share/bash-completion/completions/cloudskin.

_cloudskin_run() {
    local options='--dir --cwd --env --listen --invoke --cpu --nan -O0 -O1 -O2 -O3 --memory --stack --threads
        --open-files --cpu-seconds --timeout --output-bytes --output --name --movable --help'
    case $prev in
    --cpu)
        mapfile -t COMPREPLY < <(compgen -W 'x86-64-v2 x86-64-v3 x86-64-v4 aarch64' -- "$cur")
        return
        ;;
    --nan)
        mapfile -t COMPREPLY < <(compgen -W 'native canonical' -- "$cur")
        return
        ;;
    --dir)
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        return
        ;;
    --env)
        mapfile -t COMPREPLY < <(compgen -v -- "$cur")
        return
        ;;
    --cwd | --listen | --invoke | --memory | --stack | --threads | --open-files | --cpu-seconds | --timeout | --output-bytes | --name)
        return
        ;;
    esac
    # behind the program stand the guest's own arguments: files, as a rule
    local i word
    for ((i = 2; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word == *.wasm || $word == *.cell ]]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return
        fi
    done
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
    else
        mapfile -t COMPREPLY < <(compgen -f -X '!*.@(wasm|cell)' -- "$cur"; compgen -d -- "$cur")
    fi
}

_cloudskin_cache() {
    if [ "$COMP_CWORD" -eq 2 ]; then
        mapfile -t COMPREPLY < <(compgen -W 'ls trim clear dir add --help' -- "$cur")
    elif [ "${COMP_WORDS[2]}" = add ] && [[ $cur != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -X '!*.wasm' -- "$cur"; compgen -d -- "$cur")
    elif [ "${COMP_WORDS[2]}" = add ]; then
        mapfile -t COMPREPLY < <(compgen -W '--cpu --nan -O0 -O1 -O2 -O3 --movable --no-wait --quiet' -- "$cur")
    elif [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '--json' -- "$cur")
    fi
}

# Places in the object store: buckets, then what is beneath.
_cloudskin_places() {
    local word=${COMP_LINE:0:COMP_POINT} place
    word=${word##* }
    if [[ $word == geds://*/* ]]; then
        place=${word#geds://}
        mapfile -t COMPREPLY < <(cloudskin ls "$word*" 2>/dev/null | sed "s|^|geds://${place%%/*}/|")
    else
        mapfile -t COMPREPLY < <(compgen -W "$(cloudskin ls 2>/dev/null | sed 's|$|/|')" -- "$word")
    fi
    if [[ $word == *:* && $cur != *:* ]]; then # readline has the part up to ':' as a word of its own
        COMPREPLY=("${COMPREPLY[@]#geds:}")
    fi
    compopt -o nospace 2>/dev/null
}

_cloudskin_objects() { # _cloudskin_objects OPTIONS [files]
    local word=${COMP_LINE:0:COMP_POINT}
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
    elif [[ ${2:-} == files && ${word##* } != geds:* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    else
        _cloudskin_places
    fi
}

_cloudskin() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local verbs='run ps freeze thaw checkpoint inspect cache up down node keys ca token put get ls rm mv cp stat watch mb rb pin spill relocate tier fsck help --version'
    shopt -q extglob || { shopt -s extglob && local restore=1; }
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$cur")
    else
        case ${COMP_WORDS[1]} in
        run) _cloudskin_run ;;
        cache) _cloudskin_cache ;;
        thaw)
            mapfile -t COMPREPLY < <(compgen -W '--dir --listen --module --cpu --stale-files --name --memory --stack
                --threads --open-files --cpu-seconds --timeout --output-bytes --output --at' -- "$cur"; compgen -f -- "$cur")
            ;;
        freeze)
            mapfile -t COMPREPLY < <(compgen -W "-o --keep --embed --compress --json $(cloudskin ps 2>/dev/null |
                awk 'NR > 1 { print $1 }')" -- "$cur"; compgen -f -- "$cur")
            ;;
        checkpoint)
            mapfile -t COMPREPLY < <(compgen -W "--every --keep -o --list --json $(cloudskin ps 2>/dev/null |
                awk 'NR > 1 { print $1 }')" -- "$cur"; compgen -d -- "$cur")
            ;;
        inspect)
            mapfile -t COMPREPLY < <(compgen -W '--json --all' -- "$cur"; compgen -f -X '!*.@(wasm|cell|snap)' -- "$cur"
                compgen -d -- "$cur")
            ;;
        up)
            if [ "$prev" = --state ]; then
                mapfile -t COMPREPLY < <(compgen -d -- "$cur")
            elif [[ $prev == --tls-* || $prev == --etcd-ca || $prev == --etcd-cert || $prev == --etcd-key ]]; then
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            else
                mapfile -t COMPREPLY < <(compgen -W '--detach --s3 --metrics --s3-tls --listen --tls-cert --tls-key --tls-ca --state --no-sync --tier --tier-endpoint
                    --tier-credentials --tier-region --tier-ca-file --tier-style --local-bytes --cache-bytes --encrypt --master-key --node-lost --scrub --scrub-every --memory
                    --etcd --etcd-name --etcd-ca --etcd-cert --etcd-key --advertise --help' -- "$cur")
            fi
            ;;
        node)
            if [[ $prev == --token-file || $prev == --ca || $prev == --cert || $prev == --key ]]; then
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            elif [ "$prev" = --state ]; then
                mapfile -t COMPREPLY < <(compgen -d -- "$cur")
            else
                mapfile -t COMPREPLY < <(compgen -W '--controller --token-file --ca --cert --key --state --name --bytes --leave --help' -- "$cur")
            fi
            ;;
        down) mapfile -t COMPREPLY < <(compgen -W '--timeout --help' -- "$cur") ;;
        keys)
            if [ "$prev" = --state ]; then
                mapfile -t COMPREPLY < <(compgen -d -- "$cur")
            else
                mapfile -t COMPREPLY < <(compgen -W 'master rotate drop --state --json --controller --help' -- "$cur")
            fi
            ;;
        ca)
            if [ "$COMP_CWORD" -eq 2 ]; then
                mapfile -t COMPREPLY < <(compgen -W 'init issue renew show --help' -- "$cur")
            elif [ "$prev" = --role ]; then
                mapfile -t COMPREPLY < <(compgen -W 'read write admin node' -- "$cur")
            elif [[ $cur == -* ]]; then
                mapfile -t COMPREPLY < <(compgen -W '--host --role --days --output --name --dir --json --help' -- "$cur")
            else
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            fi
            ;;
        token)
            if [ "$COMP_CWORD" -eq 2 ]; then
                mapfile -t COMPREPLY < <(compgen -W 'create list revoke --help' -- "$cur")
            elif [ "$prev" = --role ]; then
                mapfile -t COMPREPLY < <(compgen -W 'read write admin node' -- "$cur")
            else
                mapfile -t COMPREPLY < <(compgen -W '--role --bucket --expires --state --json --help' -- "$cur")
            fi
            ;;
        put) _cloudskin_objects '--recursive --type --meta --no-clobber --if-match --quiet --controller --help' files ;;
        get) _cloudskin_objects '--recursive --range --no-clobber --quiet --controller --help' files ;;
        ls) _cloudskin_objects '--long --recursive --json --controller --help' ;;
        rm) _cloudskin_objects '--recursive --force --controller --help' ;;
        mv | cp) _cloudskin_objects '--recursive --no-clobber --controller --help' ;;
        stat) _cloudskin_objects '--json --controller --help' ;;
        watch) _cloudskin_objects '--json --from --count --exact --quiet --controller --help' ;;
        mb | rb) _cloudskin_objects '--force --controller --help' ;;
        pin) _cloudskin_objects '--off --quiet --controller --help' ;;
        spill) _cloudskin_objects '--recall --quiet --controller --help' ;;
        relocate)
            if [ "$prev" = --to ]; then
                mapfile -t COMPREPLY < <(compgen -W 'memory disk nodes tier' -- "$cur")
            else
                _cloudskin_objects '--to --copies --json --quiet --controller --help'
            fi
            ;;
        tier) _cloudskin_objects '--json --watch --spill --encrypt --replicas --memory --leave --forget --controller --help' ;;
        fsck) mapfile -t COMPREPLY < <(compgen -W '--repair --remote --json --state --controller --help' -- "$cur") ;;
        help) mapfile -t COMPREPLY < <(compgen -W 'run ps freeze thaw checkpoint inspect cache up down node keys ca token put get ls rm mv cp stat watch mb rb pin spill relocate tier fsck' -- "$cur") ;;
        esac
    fi
    [ -z "${restore:-}" ] || shopt -u extglob
}

complete -o filenames -F _cloudskin cloudskin
