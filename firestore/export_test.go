package firestore

// What the black-box tests need to see.
var (
	EscapeID    = escapeID
	UnescapeID  = unescapeID
	EncodeValue = encodeValue
	DecodeValue = decodeValue
	CommitKind  = commitKind
	CommitError = commitError
	Unavailable = unavailable
)

// Shape is shape.
type Shape = shape

// Shapes are the shapes of all queries.
var Shapes = shapes

// Collection, Equal and Order are the parts of a shape.
func (s shape) Collection() string { return s.collection }
func (s shape) Equal() string      { return s.equal }
func (s shape) Order() string      { return s.order }

const (
	PurgePage              = purgePage
	MaxNativeDepth         = maxNativeDepth
	MaxEmulatorCommitBytes = maxEmulatorCommitBytes
	EmulatorVariable       = emulatorVariable
)
