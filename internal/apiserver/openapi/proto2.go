package openapi

import (
	v2 "github.com/google/gnostic-models/openapiv2"
	"google.golang.org/protobuf/proto"
)

// protoV2 is the document as a message of Swagger 2.
func protoV2(d *Document) proto.Message {
	out := &v2.Document{
		Swagger:     "2.0",
		Info:        &v2.Info{Title: title, Version: d.Version},
		Paths:       &v2.Paths{},
		Definitions: &v2.Definitions{AdditionalProperties: make([]*v2.NamedSchema, 0, len(d.Schemas))},
		Security: []*v2.SecurityRequirement{{
			AdditionalProperties: []*v2.NamedStringArray{{Name: bearer.name, Value: &v2.StringArray{}}},
		}},
		SecurityDefinitions: &v2.SecurityDefinitions{AdditionalProperties: []*v2.NamedSecurityDefinitionsItem{{
			Name: bearer.name,
			Value: &v2.SecurityDefinitionsItem{Oneof: &v2.SecurityDefinitionsItem_ApiKeySecurity{ApiKeySecurity: &v2.ApiKeySecurity{
				Type: bearer.kind, Name: bearer.header, In: bearer.in, Description: bearer.description,
			}}},
		}}},
	}
	for _, s := range d.Schemas {
		out.Definitions.AdditionalProperties = append(out.Definitions.AdditionalProperties, &v2.NamedSchema{Name: s.Name, Value: schemaV2(s.Schema)})
	}
	for i := range d.Paths {
		p := &d.Paths[i]
		out.Paths.Path = append(out.Paths.Path, &v2.NamedPathItem{Name: p.Path, Value: pathItemV2(p)})
	}
	return out
}

func pathItemV2(p *Path) *v2.PathItem {
	item := &v2.PathItem{Parameters: protoParametersV2(nil, p.Parameters)}
	for i := range p.Operations {
		o := &p.Operations[i]
		switch o.Method {
		case "get":
			item.Get = protoOperationV2(o)
		case "put":
			item.Put = protoOperationV2(o)
		case "post":
			item.Post = protoOperationV2(o)
		case "delete":
			item.Delete = protoOperationV2(o)
		case "options":
			item.Options = protoOperationV2(o)
		case "head":
			item.Head = protoOperationV2(o)
		case "patch":
			item.Patch = protoOperationV2(o)
		}
	}
	return item
}

func protoOperationV2(o *Operation) *v2.Operation {
	out := &v2.Operation{
		Tags: []string{o.Tag}, Description: o.Description, OperationId: o.ID, Produces: o.Produces, Consumes: o.consumes(),
		Parameters: protoParametersV2(o.Body, o.Parameters), Responses: &v2.Responses{}, Schemes: schemes,
		VendorExtension: extensionsV2(o.extensions()),
	}
	for _, r := range o.Responses {
		response := &v2.Response{Description: r.Description}
		if r.Schema != nil {
			response.Schema = &v2.SchemaItem{Oneof: &v2.SchemaItem_Schema{Schema: schemaV2(r.Schema)}}
		}
		out.Responses.ResponseCode = append(out.Responses.ResponseCode, &v2.NamedResponseValue{
			Name: r.Code, Value: &v2.ResponseValue{Oneof: &v2.ResponseValue_Response{Response: response}},
		})
	}
	return out
}

// protoParametersV2 are the parameters; the body is one of them.
func protoParametersV2(body *Body, list []Parameter) []*v2.ParametersItem {
	var out []*v2.ParametersItem
	add := func(p *v2.Parameter) {
		out = append(out, &v2.ParametersItem{Oneof: &v2.ParametersItem_Parameter{Parameter: p}})
	}
	if body != nil {
		add(&v2.Parameter{Oneof: &v2.Parameter_BodyParameter{BodyParameter: &v2.BodyParameter{
			Name: "body", In: "body", Required: body.Required, Schema: schemaV2(body.Schema),
		}}})
	}
	for _, p := range list {
		add(&v2.Parameter{Oneof: &v2.Parameter_NonBodyParameter{NonBodyParameter: nonBody(p)}})
	}
	return out
}

func nonBody(p Parameter) *v2.NonBodyParameter {
	if p.In == "path" {
		return &v2.NonBodyParameter{Oneof: &v2.NonBodyParameter_PathParameterSubSchema{PathParameterSubSchema: &v2.PathParameterSubSchema{
			In: p.In, Name: p.Name, Description: p.Description, Required: p.Required, Type: p.Type,
		}}}
	}
	return &v2.NonBodyParameter{Oneof: &v2.NonBodyParameter_QueryParameterSubSchema{QueryParameterSubSchema: &v2.QueryParameterSubSchema{
		In: p.In, Name: p.Name, Description: p.Description, Required: p.Required, Type: p.Type,
	}}}
}

func schemaV2(s *Schema) *v2.Schema {
	out := &v2.Schema{Format: s.Format, Description: s.Description, Required: s.Required, VendorExtension: extensionsV2(s.Extensions)}
	if s.Ref != "" {
		out.XRef = refV2 + s.Ref
	}
	kind := s.Type
	if len(s.OneOf) > 0 {
		kind = "string"
	}
	if kind != "" {
		out.Type = &v2.TypeItem{Value: []string{kind}}
	}
	if s.Items != nil {
		out.Items = &v2.ItemsItem{Schema: []*v2.Schema{schemaV2(s.Items)}}
	}
	if s.Values != nil {
		out.AdditionalProperties = &v2.AdditionalPropertiesItem{Oneof: &v2.AdditionalPropertiesItem_Schema{Schema: schemaV2(s.Values)}}
	}
	if len(s.Properties) > 0 {
		out.Properties = &v2.Properties{AdditionalProperties: make([]*v2.NamedSchema, len(s.Properties))}
	}
	for i, p := range s.Properties {
		out.Properties.AdditionalProperties[i] = &v2.NamedSchema{Name: p.Name, Value: schemaV2(p.Schema)}
	}
	return out
}

func extensionsV2(list []Extension) []*v2.NamedAny {
	var out []*v2.NamedAny
	for _, e := range list {
		out = append(out, &v2.NamedAny{Name: e.Name, Value: &v2.Any{Yaml: string(encoded(e.Value)) + "\n"}})
	}
	return out
}
