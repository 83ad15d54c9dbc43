#!/usr/bin/env bash
# Prepares a Google Cloud project for replifire. See --help, and docs/deploy.md.
# A second run changes nothing: what is there is left as it is.
#
# Commands that are printed for others have "$" in them as it stands:
# shellcheck disable=SC2016
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: deploy/setup.sh --project=PROJECT [flags]
       deploy/setup.sh --project=PROJECT --rotate-ticket-key [flags]

Prepares a project for replifire, as often as you like: what is there already is
left as it is. It makes
  - the APIs, and a Firestore database in Native mode,
  - the indexes and, with the firebase command, the rules,
  - a service account whose only role in the project is roles/datastore.user,
  - a secret with the key that signs poke tickets, which only that account reads,
and prints the command that deploys the service.

Needs gcloud, signed in as an owner of the project.

  --project=ID         The project. Required.
  --region=REGION      Of the database and the service. Default: us-central1.
  --service=NAME       Of the service, its account and, with -ticket-keys, its
                       secret; 6 to 30 characters. Default: replifire.
  --database=NAME      The Firestore database. Default: (default).
  --auth=firebase|oidc Who signs users in, for the printed command. Default: firebase.
  --policy=members|authenticated
                       Who may use which space, likewise. Default: members.
  --origins=URL,…      Origins of the pages that may call, likewise.
  --rotate-ticket-key  Only adds a new key before the present one, see docs/security.md.
  --dry-run            Prints the commands for a project that has nothing, runs none.
  --help               Prints this.
TEXT
}

project='' region=us-central1 service=replifire database='(default)'
auth=firebase policy=members origins='' dry_run=false rotate=false

main() {
  arguments "$@"
  cd "$(dirname "$0")/.."
  account="$service@$project.iam.gserviceaccount.com"
  secret="$service-ticket-keys"
  if ! $dry_run && ! command -v gcloud >/dev/null; then
    fail 'gcloud is not installed: https://cloud.google.com/sdk/docs/install'
  fi
  if $rotate; then
    rotate_key
    return
  fi
  enable_apis
  create_database
  create_account
  create_secret
  deploy_indexes
  print_deploy
}

fail() {
  printf 'setup.sh: %s\n' "$1" >&2
  exit "${2:-1}"
}

mistake() { fail "$1
Try deploy/setup.sh --help" 2; }

# arguments reads --name=value and --name value.
arguments() {
  while [ $# -gt 0 ]; do
    case $1 in
      --help | -h) usage && exit 0 ;;
      --dry-run) dry_run=true ;;
      --rotate-ticket-key) rotate=true ;;
      --project=* | --region=* | --service=* | --database=* | --auth=* | --policy=* | --origins=*)
        set_value "${1%%=*}" "${1#*=}"
        ;;
      --project | --region | --service | --database | --auth | --policy | --origins)
        [ $# -gt 1 ] || mistake "$1 needs a value"
        set_value "$1" "$2"
        shift
        ;;
      *) mistake "unknown argument $1" ;;
    esac
    shift
  done
  [ -n "$project" ] || mistake '--project is missing'
}

# set_value takes only what Google Cloud would take, so that a mistake is found
# before anything is made.
set_value() {
  local pattern
  case $1 in
    --project) pattern='^[a-z][a-z0-9.:-]{4,60}[a-z0-9]$' ;;
    --region) pattern='^[a-z]+-[a-z]+[0-9]+$' ;;
    --service) pattern='^[a-z][a-z0-9-]{4,28}[a-z0-9]$' ;;
    --database) pattern='^(\(default\)|[a-z][a-z0-9-]{2,61}[a-z0-9])$' ;;
    --auth) pattern='^(firebase|oidc)$' ;;
    --policy) pattern='^(members|authenticated)$' ;;
    --origins) pattern='^(https?://[A-Za-z0-9.:-]+(,|$))*$' ;;
  esac
  [[ $2 =~ $pattern ]] || mistake "$1 cannot be '$2'"
  printf -v "${1#--}" %s "$2"
}

# quoted prints a command so that a shell takes it as it is.
quoted() {
  local word line=''
  for word in "$@"; do
    if [[ ! $word =~ ^[A-Za-z0-9_./:=@%,+-]+$ ]]; then
      word="'${word//\'/\'\\\'\'}'"
    fi
    line+="${line:+ }$word"
  done
  printf '%s\n' "$line"
}

say() { printf '\n# %s\n' "$1"; }

# run prints a command and, unless this is a dry run, runs it.
run() {
  quoted "$@"
  $dry_run || "$@"
}

# grant runs a command that gives the account a role, again if need be: an account
# that was made a moment ago is not known everywhere yet.
grant() {
  quoted "$@"
  local pause
  for pause in 2 4 8 16 0; do
    if $dry_run || "$@"; then
      return
    fi
    sleep "$pause"
  done
  fail "$account did not get its role"
}

# ask asks gcloud, and fails where it fails: a list that may not be seen is not an
# empty one. A dry run asks nothing and is told nothing.
ask() { $dry_run || gcloud "$@" --project="$project"; }

# has reports whether a line of the text is exactly that.
has() { grep -qxF -e "$2" <<<"$1"; }

enable_apis() {
  say 'The APIs'
  local enabled api missing=()
  enabled=$(ask services list --enabled '--format=value(config.name)')
  for api in run firestore cloudbuild artifactregistry secretmanager; do
    has "$enabled" "$api.googleapis.com" || missing+=("$api.googleapis.com")
  done
  [ "${#missing[@]}" = 0 ] || run gcloud services enable "${missing[@]}" --project="$project"
}

create_database() {
  say 'The Firestore database, in Native mode'
  local list
  list=$(ask firestore databases list '--format=value[separator=" "](name.basename(),type)')
  if has "$list" "$database DATASTORE_MODE"; then
    fail "the database $database is in Datastore mode, and cannot be used: give another --database"
  fi
  has "$list" "$database FIRESTORE_NATIVE" || run gcloud firestore databases create \
    --database="$database" --location="$region" --type=firestore-native --delete-protection \
    --project="$project"
}

create_account() {
  say 'The service account, whose only role in the project is roles/datastore.user'
  local list roles
  list=$(ask iam service-accounts list '--format=value(email)')
  has "$list" "$account" || run gcloud iam service-accounts create "$service" \
    "--display-name=Runs $service" --project="$project"
  roles=$(ask projects get-iam-policy "$project" '--flatten=bindings[].members' \
    "--filter=bindings.members=serviceAccount:$account" '--format=value(bindings.role)')
  has "$roles" roles/datastore.user || grant gcloud projects add-iam-policy-binding "$project" \
    --member="serviceAccount:$account" --role=roles/datastore.user --condition=None
  if grep -vxF -e roles/datastore.user <<<"$roles" | grep -q .; then
    printf 'setup.sh: warning: %s has more roles than it needs:\n%s\n' "$account" "$roles" >&2
  fi
}

create_secret() {
  say 'The key that signs poke tickets, for that account only'
  local list versions policy
  list=$(ask secrets list '--format=value(name.basename())')
  has "$list" "$secret" || run gcloud secrets create "$secret" \
    --replication-policy=automatic --project="$project"
  versions=''
  if has "$list" "$secret"; then
    versions=$(ask secrets versions list "$secret" --filter=state=ENABLED '--format=value(name.basename())')
  fi
  [ -n "$versions" ] || add_key ''
  policy=''
  if has "$list" "$secret"; then
    policy=$(ask secrets get-iam-policy "$secret" '--flatten=bindings[].members' \
      --filter=bindings.role=roles/secretmanager.secretAccessor '--format=value(bindings.members)')
  fi
  has "$policy" "serviceAccount:$account" || grant gcloud secrets add-iam-policy-binding "$secret" \
    --member="serviceAccount:$account" --role=roles/secretmanager.secretAccessor --project="$project"
}

# new_key prints 32 random bytes. No key is ever an argument: those can be seen.
new_key() { head -c 32 /dev/urandom | base64; }

# add_key adds a version of the secret: a new key and, a line below it, the old one
# that is given.
add_key() {
  local add=(gcloud secrets versions add "$secret" --data-file=- --project="$project")
  local keys='head -c 32 /dev/urandom | base64'
  [ -z "$1" ] || keys="{ $keys; head -n 1 <<<\"\$old\"; }"
  printf '%s | %s\n' "$keys" "$(quoted "${add[@]}")"
  $dry_run && return
  { new_key && if [ -n "$1" ]; then printf '%s\n' "$1"; fi; } | "${add[@]}"
}

# rotate_key keeps one old key: tickets last a minute.
rotate_key() {
  say 'A new key before the present one'
  local access=(gcloud secrets versions access latest --secret="$secret" --project="$project") old
  printf 'old=$(%s)\n' "$(quoted "${access[@]}")"
  old='(dry run)'
  $dry_run || old=$("${access[@]}" | head -n 1)
  [ -n "$old" ] || fail "the secret $secret is empty"
  add_key "$old"
  say 'Then let the service read it, by a new revision'
  quoted gcloud run services update "$service" --region="$region" --project="$project" \
    --update-secrets="/secrets/ticket-keys/keys=$secret:latest"
}

# deploy_indexes follows firestore.indexes.json, in which a test compares it with
# what gcloud is told here.
deploy_indexes() {
  if command -v firebase >/dev/null && [ "$database" = '(default)' ]; then
    say 'Rules and indexes'
    run firebase deploy --only=firestore:rules,firestore:indexes --non-interactive --project="$project"
    return
  fi
  say 'The indexes'
  local list field update=(gcloud firestore indexes fields update)
  local where=(--database="$database" --project="$project")
  list=$(ask firestore indexes composite list --database="$database" \
    "--format=value[separator=' '](name.segment(-3),fields.*extract('fieldPath').*flatten().join(','))")
  grep -qE '^clients clientGroupID,version(,__name__)?$' <<<"$list" ||
    run gcloud firestore indexes composite create --collection-group=clients --query-scope=collection \
      --field-config=field-path=clientGroupID,order=ascending \
      --field-config=field-path=version,order=ascending "${where[@]}"
  for field in spaces clientGroups clients entries creators members; do
    run "${update[@]}" '*' --collection-group="$field" --disable-indexes "${where[@]}"
  done
  for field in clients/version entries/version entries/key entries/deletedAt members/userID members/role; do
    run "${update[@]}" "${field#*/}" --collection-group="${field%/*}" --index=order=ascending "${where[@]}"
  done
  print_rules
}

# print_rules says how to deploy what gcloud has no command for.
print_rules() {
  say 'The rules, which gcloud cannot deploy: run this yourself, with Node'
  local deploy=(npx --yes firebase-tools@15.34.2 deploy --non-interactive --project="$project")
  if [ "$database" = '(default)' ]; then
    quoted "${deploy[@]}" --only=firestore:rules
    return
  fi
  # The tools take the name of a database only from their file.
  printf '%s\n' 'dir=$(mktemp -d) && cp firestore.rules "$dir"'
  printf '%s > "$dir/firebase.json"\n' \
    "$(quoted echo "{\"firestore\": [{\"database\": \"$database\", \"rules\": \"firestore.rules\"}]}")"
  printf '%s --config="$dir/firebase.json"\n' "$(quoted "${deploy[@]}" --only=firestore)"
}

print_deploy() {
  say 'Now deploy the service: run this yourself'
  [ "$auth" != oidc ] || printf '# REPLIFIRE_AUTH=oidc needs its issuer and audience too.\n'
  local env="GOOGLE_CLOUD_PROJECT=$project;FIRESTORE_DATABASE=$database"
  env+=";REPLIFIRE_AUTH=$auth;REPLIFIRE_POLICY=$policy;REPLIFIRE_ORIGINS=$origins"
  env+=';REPLIFIRE_TICKET_KEYS_FILE=/secrets/ticket-keys/keys'
  quoted gcloud run deploy "$service" --source=. --project="$project" --region="$region" \
    --service-account="$account" --allow-unauthenticated --port=8080 --use-http2 --concurrency=1000 --timeout=3600 \
    --no-cpu-throttling --cpu=1 --memory=1Gi --min-instances=1 --max-instances=10 \
    --startup-probe=httpGet.path=/ready,httpGet.port=8080,periodSeconds=5,timeoutSeconds=4,failureThreshold=12 \
    --set-secrets="/secrets/ticket-keys/keys=$secret:latest" "--set-env-vars=^;^$env"
}

main "$@"
