// The real adapter and the real formatter of Caddy, in one process that answers many texts.
//
// It reads one JSON object a line, {"text": "..."}, and answers each with one line: {"json": ...} or
// {"error": "..."}, and "warnings" and "formatted" with both. The texts may import
// what lies in the working directory. End of input ends the program.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	_ "unsafe" // for go:linkname

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/libdns/libdns"
)

// The option `order` changes this for the whole process, so it is put back before each text.
//
//go:linkname directiveOrder github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile.directiveOrder
var directiveOrder []string

type question struct {
	Text string `json:"text"`
}

type answer struct {
	JSON      json.RawMessage `json:"json,omitempty"`
	Error     string          `json:"error,omitempty"`
	Warnings  []string        `json:"warnings,omitempty"`
	Formatted string          `json:"formatted"`
	// Harmful tells that formatting changes words or moves them to other lines, Unsettled that formatting again
	// changes more.
	Harmful   bool `json:"harmful,omitempty"`
	Unsettled bool `json:"unsettled,omitempty"`
}

// mock is the DNS provider of Caddy's own tests, which no Caddy that people use contains.
type mock struct {
	Argument string `json:"argument,omitempty"`
}

func (mock) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dns.providers.mock", New: func() caddy.Module { return new(mock) }}
}

func (m *mock) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		m.Argument = d.Val()
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

// AppendRecords is never called: nothing is provisioned.
func (mock) AppendRecords(context.Context, string, []libdns.Record) ([]libdns.Record, error) {
	return nil, nil
}

// DeleteRecords is never called either.
func (mock) DeleteRecords(context.Context, string, []libdns.Record) ([]libdns.Record, error) {
	return nil, nil
}

func main() {
	caddy.RegisterModule(mock{})
	order := slices.Clone(directiveOrder)
	input := bufio.NewReader(os.Stdin)
	output := bufio.NewWriter(os.Stdout)
	decoder, encoder := json.NewDecoder(input), json.NewEncoder(output)
	encoder.SetEscapeHTML(false)
	for {
		var asked question
		if err := decoder.Decode(&asked); err != nil {
			return
		}
		directiveOrder = slices.Clone(order)
		if encoder.Encode(reply([]byte(asked.Text))) != nil || output.Flush() != nil {
			return
		}
	}
}

// reply adapts and formats one text. A panic is a refusal like any other.
func reply(text []byte) (told answer) {
	defer func() {
		if cause := recover(); cause != nil {
			told.JSON, told.Error = nil, fmt.Sprintf("panic: %v", cause)
		}
	}()
	formatted := caddyfile.Format(slices.Clone(text))
	told.Formatted = string(formatted)
	told.Harmful = !sameWords(text, formatted)
	told.Unsettled = told.Formatted != string(caddyfile.Format(slices.Clone(formatted)))
	adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
	result, warnings, err := adapter.Adapt(text, map[string]any{"filename": "Caddyfile"})
	for _, warning := range warnings {
		told.Warnings = append(told.Warnings, warning.Message)
	}
	if err != nil {
		told.Error = err.Error()
		return told
	}
	told.JSON = result
	return told
}

// sameWords tells whether two texts have the same words on the same lines; braces may come to stand elsewhere.
func sameWords(before, after []byte) bool {
	left, err := caddyfile.Tokenize(slices.Clone(before), "Caddyfile")
	if err != nil {
		return false
	}
	right, err := caddyfile.Tokenize(slices.Clone(after), "Caddyfile")
	if err != nil || len(left) != len(right) {
		return false
	}
	isBrace := func(token caddyfile.Token) bool { return token.Text == "{" || token.Text == "}" }
	for at := range left {
		if left[at].Text != right[at].Text {
			return false
		}
		startsLine := func(tokens []caddyfile.Token) bool { return at == 0 || tokens[at].Line > tokens[at-1].Line }
		if left[at].Text == "}" && startsLine(left) && !startsLine(right) {
			return false
		}
		if at == 0 || isBrace(left[at]) || isBrace(left[at-1]) || strings.Contains(left[at-1].Text, "\n") {
			continue
		}
		if (left[at].Line > left[at-1].Line) != (right[at].Line > right[at-1].Line) {
			return false
		}
	}
	return true
}
