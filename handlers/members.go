package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/protocol"
)

// How many members one answer lists.
const (
	defaultPage = 100
	maxPage     = 500
)

// membership is what a path below /api/spaces names.
type membership struct {
	space protocol.SpaceID
	user  string // "" where the path names all members
}

// memberRoutes are the two routes of a space's members.
type memberRoutes struct{ all, one *route }

func newMemberRoutes() *memberRoutes {
	one := getRoute((*exchange).getMember)
	one.methods[http.MethodPut] = (*exchange).putMember
	one.methods[http.MethodDelete] = (*exchange).deleteMember
	return &memberRoutes{all: getRoute((*exchange).listMembers), one: one}
}

// spacesPath is where they begin.
const spacesPath = "/api/spaces"

// find is the route of /api/spaces/{space}/members and what is below it, nil for any
// other path, and on nil, where there are no such routes. It looks at the path as it was
// sent: an id may have a slash, as %2F.
func (m *memberRoutes) find(u *url.URL) (*route, membership) {
	parts := segments(u.EscapedPath())
	for i, part := range parts {
		plain, err := url.PathUnescape(part)
		if err != nil {
			return nil, membership{}
		}
		parts[i] = plain
	}
	if m == nil || len(parts) < 4 || "/"+parts[0]+"/"+parts[1] != spacesPath || parts[3] != "members" {
		return nil, membership{}
	}
	space := protocol.SpaceID(parts[2])
	switch len(parts) {
	case 4:
		return m.all, membership{space: space}
	case 5:
		return m.one, membership{space: space, user: parts[4]}
	default:
		return nil, membership{}
	}
}

// identifyMember finds out who asks, and whether the path names what can be.
func (x *exchange) identifyMember() error {
	principal, err := x.authenticate()
	if err != nil {
		return err
	}
	if err := protocol.CheckID(x.named.space); err != nil {
		return badRequest("The name of the space " + err.Error() + ".")
	}
	if err := protocol.CheckID(x.named.user); x.named.user != "" && err != nil {
		return badRequest("The id of the user " + err.Error() + ".")
	}
	return x.recognize(principal, x.named.space)
}

// self reports whether the caller is the user that the path names.
func (x *exchange) self() bool { return x.principal.UserID == x.named.user }

// listMembers answers owners with a page of the members.
func (x *exchange) listMembers() error {
	if err := x.identifyMember(); err != nil {
		return err
	}
	if err := x.allowed(auth.Admin); err != nil {
		return err
	}
	after, limit, err := pageOf(x.r.URL.RawQuery)
	if err != nil {
		return err
	}
	list, err := x.h.config.Members.List(x.r.Context(), x.caller.Space, after, limit+1)
	if err != nil {
		return err
	}
	var page struct {
		Members []members.Member `json:"members"`
		Next    *string          `json:"next"`
	}
	if len(list) > limit {
		list = list[:limit]
		page.Next = &list[limit-1].UserID
	}
	page.Members = append([]members.Member{}, list...)
	return x.marshal(page)
}

// pageOf reads from the query which members are asked for.
func pageOf(query string) (after string, limit int, err error) {
	q, err := parseQuery(query)
	if err != nil {
		return "", 0, err
	}
	if len(q["after"]) > 1 || len(q["limit"]) > 1 {
		return "", 0, badRequest("The query of the URL says something twice.")
	}
	if after = q.Get("after"); after != "" {
		if err := protocol.CheckID(after); err != nil {
			return "", 0, badRequest("The id in after " + err.Error() + ".")
		}
	}
	if !q.Has("limit") {
		return after, defaultPage, nil
	}
	if limit, err = strconv.Atoi(q.Get("limit")); err != nil || limit < 1 || limit > maxPage {
		return "", 0, badRequest(fmt.Sprintf("The limit must be a number from 1 to %d.", maxPage))
	}
	return after, limit, nil
}

// allowedToSelf lets owners do something with every member, and members with
// themselves.
func (x *exchange) allowedToSelf() error {
	err := x.allowed(auth.Admin)
	if errors.Is(err, auth.ErrForbidden) && x.self() {
		return x.allowed(auth.Read)
	}
	return err
}

// getMember answers with one member.
func (x *exchange) getMember() error {
	if err := x.identifyMember(); err != nil {
		return err
	}
	if err := x.allowedToSelf(); err != nil {
		return err
	}
	role, err := x.h.config.Members.Role(x.r.Context(), x.caller.Space, x.named.user)
	if err != nil {
		return err
	}
	if role == "" {
		return refusal{http.StatusNotFound, "not_found", "This user is no member of the space."}
	}
	return x.marshal(members.Member{UserID: x.named.user, Role: role})
}

// putMember has an owner give somebody a role. Who is none may make themself the owner of
// a space that is vacant; of any other they are told what a stranger is told.
func (x *exchange) putMember() error {
	if err := x.checkContent(); err != nil {
		return err
	}
	if err := x.checkLength(); err != nil {
		return err
	}
	if err := x.identifyMember(); err != nil {
		return err
	}
	if _, err := x.maySetRole(); err != nil {
		return err
	}
	body, err := x.readBody()
	if err != nil {
		return err
	}
	role, err := decodeRole(body)
	if err != nil {
		return err
	}
	owner, err := x.maySetRole()
	switch {
	case err != nil:
	case owner:
		err = x.setRole(role)
	case role == members.Owner:
		err = x.create()
	default:
		err = fmt.Errorf("who is no member gives themself no such role: %w", auth.ErrForbidden)
	}
	if err != nil {
		return err
	}
	return x.marshal(members.Member{UserID: x.named.user, Role: role})
}

// maySetRole reports whether the caller is an owner of the space; others may only try to
// make it their own. It is asked before the body is read and after that.
func (x *exchange) maySetRole() (owner bool, err error) {
	err = x.stillAllowed(x.r.Context(), auth.Admin)
	if errors.Is(err, auth.ErrForbidden) && x.self() {
		return false, nil
	}
	return err == nil, err
}

// setRole makes the named user a member or changes the role.
func (x *exchange) setRole(role members.Role) error {
	p := x.h.config.Members
	m := members.Member{UserID: x.named.user, Role: role}
	err := p.Put(x.r.Context(), x.principal, x.caller.Space, m)
	if errors.Is(err, members.ErrTooManyMembers) {
		return refusal{
			http.StatusConflict, "too_many_members",
			fmt.Sprintf("A space may have %d members, and this one has.", p.MaxMembers()),
		}
	}
	return err
}

// create makes the caller the first owner of the space. It is counted whether or not the
// space is there, or the answer would tell.
func (x *exchange) create() error {
	if err := x.takeSpace(); err != nil {
		return err
	}
	err := x.h.config.Members.Create(x.r.Context(), x.principal, x.caller.Space)
	if errors.Is(err, members.ErrTooManySpaces) {
		return refusal{
			http.StatusForbidden, "too_many_spaces",
			fmt.Sprintf("One user may create %d spaces, and this one has.", x.h.config.Members.MaxSpaces()),
		}
	}
	return err
}

// decodeRole takes {"role": "…"} and nothing else.
func decodeRole(body []byte) (members.Role, error) {
	bad := badRequest(`The body must be {"role": "reader"}, or "writer" or "owner".`)
	d := json.NewDecoder(bytes.NewReader(body))
	var tokens []json.Token
	for len(tokens) < 5 {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", bad
		}
		tokens = append(tokens, token)
	}
	if len(tokens) != 4 || tokens[0] != json.Delim('{') || tokens[1] != "role" || tokens[3] != json.Delim('}') {
		return "", bad
	}
	role, _ := tokens[2].(string)
	if !members.Role(role).Valid() {
		return "", bad
	}
	return members.Role(role), nil
}

// deleteMember ends a membership: any by an owner, one's own by everybody.
func (x *exchange) deleteMember() error {
	if err := x.identifyMember(); err != nil {
		return err
	}
	if err := x.allowedToSelf(); err != nil {
		return err
	}
	if err := x.h.config.Members.Delete(x.r.Context(), x.principal, x.caller.Space, x.named.user); err != nil {
		return err
	}
	x.w.WriteHeader(http.StatusNoContent)
	return nil
}

// marshal answers 200 with a value as JSON.
func (x *exchange) marshal(v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return x.json(body)
}
