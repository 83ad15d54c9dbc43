package server

import "github.com/alecthomas/kong"

// groups are the headings of the settings in a help text.
var groups = []kong.Group{
	{Key: "listen", Title: "Listening:"},
	{Key: "data", Title: "Data:"},
	{Key: "access", Title: "Access:"},
	{Key: "limits", Title: "Limits:"},
	{Key: "gc", Title: "Collection over HTTP (POST /api/gc):"},
	{Key: "log", Title: "Log:"},
}

// help says what each setting means, by the name of its flag.
var help = map[string]string{
	"host": "Address to listen on; empty: all of this machine's.",
	"port": "Port to listen on; 0: any free one. Cloud Run sets it.",

	"store":         "Where spaces are kept: firestore, or memory (gone with the process).",
	"project":       "Google Cloud project of the database.",
	"database":      "Firestore database, in Native mode.",
	"emulator-host": "Use the Firestore emulator there instead of Google's Firestore.",

	"auth": "How callers are recognized: by the ID tokens of firebase or of an oidc" +
		" issuer; none: everybody is nobody in particular.",
	"policy": "Who may use a space: open, everybody any; authenticated, who is signed in any;" +
		" members, whom its owners have made a member.",
	"firebase-project": "Project whose ID tokens count; empty: that of the database.",
	"firebase-tenant": "Tenant of that project whose ID tokens count, and no others. Empty: those of any tenant" +
		" are refused.",
	"auth-emulator-host": "Set where the Firebase Auth emulator runs: its unsigned tokens count" +
		" and no others. Never on Cloud Run.",
	"oidc-issuer":     "The OpenID Connect issuer, exactly as tokens name it.",
	"oidc-audience":   "Whom tokens must be issued to: mostly the client id.",
	"oidc-algorithms": "Signature algorithms that count, separated by commas.",
	"oidc-user-claim": "The claim that is the user's id.",
	"ticket-keys-file": "File with the keys of poke tickets, such as a mounted secret, read again when it changes:" +
		" base64 of 32 bytes or more, one a line, the first one signs. Without a file the same text may be in the" +
		" variable [$REPLIFIRE_TICKET_KEYS]; without keys a ticket is good on the instance that issued it.",
	"origins": "Origins of the web pages that may call, exact, separated by commas," +
		" such as https://app.example.com. Empty: none.",
	"dev": "Development mode: any page may call, /api/init needs no right," +
		" / describes the service, the log is for people.",
	"allow-unsafe": "Run on Cloud Run even without sign-in, with the open policy," +
		" in development mode or on the memory store.",

	"max-spaces-per-user": "How many spaces a user may create with the policy members;" +
		" 0: any number.",
	"schema-versions": "Schema versions of the application that are accepted; clients of" +
		" others are told VersionNotSupported. Empty: all.",
	"max-body-bytes": "Largest request body, beyond it 413. A push may have any length: this much of" +
		" it is applied at once, and the client sends all again.",
	"max-bodies-bytes": "All that is in memory of the bodies of requests under way, beyond it 429. 0: no limit.",
	"max-mutations": "Mutations of a push that are applied at once, beyond it 429: the client sends" +
		" all again. 0: no limit.",
	"max-key-bytes":      "Longest key of an entry; a mutation that writes a longer one is rejected.",
	"max-value-bytes":    "Largest value of an entry as JSON; a mutation that writes more is rejected.",
	"max-depth":          "How deeply a value may be nested; a mutation that writes a deeper one is rejected.",
	"max-queue-pushes":   "Pushes that wait for one space, beyond it 429.",
	"max-queue-bytes":    "All pushes that wait for one space together, beyond it 429.",
	"max-response-bytes": "Largest answer to a pull, before it is compressed, beyond it 413. 0: no limit.",
	"rate-per-user": "Requests a second, in the long run, of a user who is signed in, beyond it 429." +
		" 0: no limit. Development mode has none of the two rates.",
	"burst-per-user": "Requests of a user at once.",
	"rate-per-address": "The same of one address, which may be that of many people; in IPv6 of a /64, and of a" +
		" /48 four times as many.",
	"burst-per-address": "Requests of an address at once.",
	"rate-new-spaces": "Spaces an hour, in the long run, that a user creates by pushing to them, or makes their own," +
		" beyond it 429;" +
		" an address ten times as many. 0: no limit, as in development mode.",
	"burst-new-spaces": "Spaces that a user creates at once; an address three times as many.",
	"rate-body-bytes": "Bytes a second, in the long run, that are read of a user's bodies; of an address's four times" +
		" as many. One largest body is read at once, of an address two. 0: no limit, as in development mode.",
	"max-bodies-per-user": "Bodies of more than 256 KiB that a user sends at once, an address four times as many;" +
		" beyond it 429. 0: no limit, as in development mode.",
	"proxies": "How many proxies in front add the address they see to X-Forwarded-For." +
		" -1: one on Cloud Run, none elsewhere; 2 behind a load balancer before Cloud Run.",
	"max-streams":          "Poke streams of this instance, beyond it 429.",
	"max-streams-per-user": "Poke streams of a user who is signed in, beyond it 429. 0: no limit.",
	"max-header-bytes":     "Largest header of a request, beyond it 431.",
	"header-timeout":       "Time for the header of a request to arrive.",
	"idle-timeout":         "Time a connection may wait for its next request.",
	"push-timeout": "Time for a push with all its retries, beyond it 503:" +
		" the client sends it again.",
	"pull-max-age": "How old this instance's knowledge of a space may be for a pull that reads" +
		" nothing. 0: each pull looks, and shows what any instance acknowledged before it.",
	"heartbeat": "Pause between the comments that keep a silent poke stream open.",
	"stream-life": "After about this time a poke stream is ended and the client connects" +
		" again. Less than the platform's request timeout: 60 minutes at the most.",
	"drain-timeout": "Time to finish what is under way after SIGTERM." +
		" Cloud Run kills after 10 seconds.",

	"gc-invoker": "The service account that may call POST /api/gc by a token of its own:" +
		" its email address, or its number (sub). Empty: there is no such route.",
	"gc-audience": "The audience of those tokens: the address of the service, as the" +
		" job of Cloud Scheduler has it.",
	"gc-issuer": "Who signs those tokens.",
	"gc-retention": "How long a deletion is remembered: a client that was away for longer" +
		" loads everything anew.",
	"gc-timeout": "After this time a collection stops and says that there is more. Less than the" +
		" attempt deadline of the job, which is 3 minutes unless set, and Cloud Run's request timeout.",

	"log-level": "Least level that is logged: debug, info, warn or error.",
	"log-format": "json has Cloud Logging's field names, text is for people;" +
		" auto: text in development mode, else json.",

	"k-service": "Name of the Cloud Run service, which Cloud Run sets.",
}
