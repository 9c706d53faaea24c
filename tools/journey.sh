# shellcheck shell=sh
# The second half of ./up: starts the houses, sends one letter through all of them, verifies every step, and serves.
# Arguments: number of houses, 1 to end after the journey, data folder, 1 to start afresh. PATH finds posthouse and post.
set -eu
. ./tools/setup.sh

hops=$1 once=$2 data=$3 fresh=$4
mx=2525 submission=2587 pop3s=2995 imaps=2993
domains="a b c d e f g h i"
pids=

# ---- small helpers ---------------------------------------------------------------------------

if [ -t 1 ]; then green=$(printf '\033[32m') bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else green= bold= plain=; fi

done_step() {
    say "  ${green}ok${plain}  $*"
}

failed() {
    die 1 "$1
What the houses said is in $data/house*/log; their last words:
$(tail -q -n 5 "$data"/house*/log 2>/dev/null || true)"
}

stop_houses() {
    trap - EXIT INT TERM
    for pid in $pids; do kill -TERM "$pid" 2>/dev/null || true; done
    for pid in $pids; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$tmp"
}

# nth NUMBER WORDS...: one of the words
nth() {
    shift "$1"
    printf '%s' "$1"
}

# ---- the houses ----------------------------------------------------------------------------------

zone() {
    i=1
    while [ "$i" -le "$hops" ]; do
        # shellcheck disable=SC2086 # a list of words
        d=$(nth "$i" $domains).test
        printf '"%s. IN MX 10 mx.%s.", "mx.%s. IN A 127.0.0.%s", ' "$d" "$d" "$d" "$i"
        i=$((i + 1))
    done
}

write_config() {
    house=$1 ip=$2 domain=$3
    {
        printf '# Written by ./up for one of several houses; "man posthouse.conf" tells every setting.\n'
        printf 'hostname = "mx.%s"\n' "$domain"
        for service in mx:$mx submission:$submission submissions:2465 pop3:2110 pop3s:$pop3s imap:2143 imaps:$imaps; do
            printf 'listen_%s = {"%s:%s"}\n' "${service%%:*}" "$ip" "${service##*:}"
        done
        printf 'relay_source = "%s"\nrelay_port = %s\nretry_first = "1s"\n' "$ip" "$mx"
        printf 'dns_records = {%s}\n' "$(zone | sed 's/, $//')"
    } >"$house/posthouse.conf"
}

# start_house NUMBER: in $data/houseN; one house alone needs no configuration at all.
start_house() {
    house=$data/house$1
    mkdir -p "$house" 2>/dev/null || die 73 "cannot write to $data: choose another folder with --data"
    set -- "$1" serve --data "$house"
    if [ "$hops" -gt 1 ]; then
        # shellcheck disable=SC2086 # a list of words
        write_config "$house" "127.0.0.$1" "$(nth "$1" $domains).test"
        set -- "$@" --config "$house/posthouse.conf"
    fi
    number=$1
    shift
    rm -f "$tmp/ready"
    mkfifo "$tmp/ready"
    posthouse "$@" --ready-fd 3 3>"$tmp/ready" >"$house/log" 2>&1 &
    pid=$!
    pids="$pids $pid"
    if ! read -r _ <"$tmp/ready"; then
        status=0
        wait "$pid" || status=$?
        die "$status" "house $number did not start:
$(tail -n 8 "$house/log")"
    fi
}

# account NUMBER ADDRESS: made on the first start; the password is kept beside the data, for you to read
account() {
    secret=$data/house$1/password.$2
    if [ ! -s "$secret" ]; then
        (umask 077 && od -An -N12 -tx1 /dev/urandom | tr -d ' \n' >"$secret")
        posthouse account add "$2" --data "$data/house$1" --password-file "$secret" >/dev/null 2>"$tmp/out" || failed "could not add the account $2: $(cat "$tmp/out")"
    fi
}

# ---- the journey -----------------------------------------------------------------------------------

send_letter() {
    text="Hello Bob,

this letter was composed by post, submitted over STARTTLS, carried by $hops house(s),
and is waiting for you in your mailbox.

Alice"
    POST_PASSWORD=$(cat "$data/house1/password.$alice") post send --server 127.0.0.1 --port $submission --tls starttls --ca "$data/house1/tls/cert.pem" \
        --user "$alice" --from "Alice <$alice>" --to "$first" --subject "Your first letter ($stamp)" --text "$text" --message-id "$id" \
        --debug >"$tmp/send" 2>&1 || { cat "$tmp/send" >&2; failed "the letter could not be submitted"; }
    grep -q 'STARTTLS' "$tmp/send" || failed "the letter was not sent over STARTTLS"
}

# fetch pop3|imap PORT: until the letter is there; it must hold what was written
fetch_letter() {
    kind=$1 port=$2 tries=0
    while :; do
        rm -rf "$tmp/$kind"
        POST_PASSWORD=$(cat "$data/house$hops/password.$bob") post fetch "--$kind" --server "127.0.0.$hops" --port "$port" --tls tls --ca "$data/house$hops/tls/cert.pem" \
            --user "$bob" --maildir "$tmp/$kind" >"$tmp/out" 2>&1 || { cat "$tmp/out" >&2; failed "fetching by $kind failed"; }
        grep -rqF "$id" "$tmp/$kind" 2>/dev/null && break
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || failed "the letter did not arrive in the mailbox of $bob"
        sleep 0.1
    done
    grep -rlF "$id" "$tmp/$kind" | head -n 1 >"$tmp/name"
    read -r name <"$tmp/name"
    grep -q 'composed by post' "$name" || failed "the letter fetched by $kind is not the one sent"
    # shellcheck disable=SC2086 # the houses passed show as Received fields
    [ "$(grep -ci '^Received:' "$name")" -ge "$hops" ] || failed "the letter fetched by $kind did not cross $hops house(s)"
}

show_journey() {
    set --
    i=1
    while [ "$i" -le "$hops" ]; do
        set -- "$@" --data "$data/house$i"
        i=$((i + 1))
    done
    tries=0
    until posthouse trace "$id" "$@" --json >"$tmp/trace" 2>/dev/null && grep -q '"fetched"' "$tmp/trace" && grep -q '"delivered"' "$tmp/trace"; do
        tries=$((tries + 1))
        [ "$tries" -lt 50 ] || failed "the journey is not complete: $(cat "$tmp/trace")"
        sleep 0.1
    done
    say
    say "${bold}The journey of $id${plain}"
    posthouse trace "$id" "$@"
    for step in submitted queued delivered fetched; do
        grep -q "\"$step\"" "$tmp/trace" || failed "the journey lacks the step \"$step\""
    done
    [ "$hops" = 1 ] || [ "$(grep -o '"relayed"' "$tmp/trace" | wc -l)" -ge $((hops - 1)) ] || failed "the journey does not show $((hops - 1)) relays"
}

what_next() {
    cat <<END

${bold}What to try next${plain}   (everything is kept in $data)
  export PATH=$(dirname "$(command -v posthouse)"):$(dirname "$(command -v post)"):\$PATH
  post send --server 127.0.0.1 --port $submission --tls starttls --ca $data/house1/tls/cert.pem --user $alice --from $alice --to $first --subject Hi --text "..."
  post list --imap --server 127.0.0.$hops --port $imaps --tls tls --ca $data/house$hops/tls/cert.pem --user $bob
  posthouse status --data $data/house1
  posthouse trace MESSAGE-ID --data $data/house1
  posthouse account add carol@$(printf '%s' "$alice" | cut -d@ -f2) --generate --data $data/house1
Your mail program: $bob, IMAP 127.0.0.$hops:$imaps (TLS), SMTP 127.0.0.$hops:$submission (STARTTLS)
  $alice  password $(cat "$data/house1/password.$alice")
  $bob  password $(cat "$data/house$hops/password.$bob")
END
}

main() {
    [ "$fresh" = 1 ] && rm -rf "$data"
    case $data in /*) ;; *) data=$PWD/$data ;; esac
    [ "$hops" -gt 1 ] && data=$data-$hops
    if ! mkdir -p "$data" 2>/dev/null; then
        die 73 "cannot make the folder $data: choose another with --data"
    fi
    [ "$(df -P "$data" | awk 'NR==2 {print $4}')" -ge 20480 ] || die 73 "the disk that holds $data is full (less than 20 MB left): make room or choose another with --data"
    chmod 755 "$data"
    tmp=$(mktemp -d)
    trap 'stop_houses' EXIT
    trap 'stop_houses; exit 130' INT TERM

    # shellcheck disable=SC2086 # lists of words
    first_domain=$(nth 1 $domains).test last_domain=$(nth "$hops" $domains).test
    alice=alice@$first_domain bob=bob@$last_domain first=$bob
    stamp=$(date +%H:%M:%S)
    id="<first.$(date +%s).$$@$first_domain>"

    i=1
    while [ "$i" -le "$hops" ]; do
        start_house "$i"
        i=$((i + 1))
    done
    done_step "$hops house(s) serving, data in $data"
    account 1 "$alice"
    account "$hops" "$bob"
    # Each house on the way forwards to the next, so that the letter crosses all of them.
    i=2
    while [ "$i" -lt "$hops" ]; do
        # shellcheck disable=SC2086 # a list of words
        here=bob@$(nth "$i" $domains).test next=bob@$(nth $((i + 1)) $domains).test
        if [ ! -e "$data/house$i/forwards" ]; then
            posthouse domain add "${here#*@}" --data "$data/house$i" >/dev/null && posthouse alias add "$here" "$next" --data "$data/house$i" >/dev/null \
                || failed "could not add the forwarding alias of house $i"
            : >"$data/house$i/forwards"
        fi
        [ "$i" != 2 ] || first=$here
        i=$((i + 1))
    done
    done_step "accounts $alice and $bob"
    send_letter
    done_step "submitted by post over STARTTLS on 127.0.0.1:$submission"
    fetch_letter pop3 $pop3s
    done_step "fetched by POP3 from 127.0.0.$hops:$pop3s"
    fetch_letter imap $imaps
    done_step "fetched by IMAP from 127.0.0.$hops:$imaps"
    show_journey
    if [ "$once" = 1 ]; then
        say
        say "Every step was verified."
        return 0
    fi
    what_next
    say
    say "Serving until Ctrl-C."
    # shellcheck disable=SC2086 # a list of words
    wait $pids
}

main
