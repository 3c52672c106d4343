<?php
// Arrays, JSON, XML in three ways, multi-byte text, regular expressions; the extensions are shared
// objects that PHP loads with RTLD_DEEPBIND.
foreach (["json", "xml", "dom", "simplexml", "mbstring"] as $name) {
    if (!extension_loaded($name)) { echo "missing: $name\n"; exit(2); }
}
mt_srand(11);
$orders = [];
for ($i = 0; $i < 4000; $i++) {
    $orders[] = ["id" => $i, "name" => str_repeat("ñandú ", mt_rand(1, 20)), "tags" => range(0, mt_rand(0, 9))];
}
$json = json_encode($orders, JSON_UNESCAPED_UNICODE);
echo strlen($json), " ", md5($json), " ", json_decode($json, true) === $orders ? "same" : "differs", "\n";

$document = new DOMDocument("1.0", "UTF-8");
$root = $document->appendChild($document->createElement("orders"));
foreach ($orders as $order) {
    $node = $root->appendChild($document->createElement("order"));
    $node->setAttribute("id", $order["id"]);
    $node->appendChild($document->createTextNode($order["name"]));
    foreach ($order["tags"] as $tag) $node->appendChild($document->createElement("tag", (string)$tag));
}
$xml = $document->saveXML();
echo strlen($xml), " ", md5($xml), "\n";
echo (new DOMXPath($document))->query("//order[tag = 7]/@id")->length, "\n";
while ($root->firstChild) $root->removeChild($root->firstChild);

$simple = simplexml_load_string($xml);
$sum = 0;
foreach ($simple->order as $order) $sum += count($order->tag) * (int)$order["id"];
echo $sum, "\n";

$depth = $elements = $letters = 0;
$parser = xml_parser_create("UTF-8");
xml_set_element_handler($parser,
    function () use (&$depth, &$elements) { $depth++; $elements++; },
    function () use (&$depth) { $depth--; });
xml_set_character_data_handler($parser, function ($parser, $data) use (&$letters) { $letters += mb_strlen($data); });
foreach (str_split($xml, 4096) as $i => $part) xml_parse($parser, $part, ($i + 1) * 4096 >= strlen($xml));
xml_parser_free($parser);
echo "$depth $elements $letters\n";

$reader = new XMLReader();
$reader->XML($xml);
for ($texts = 0; $reader->read();) $texts += $reader->nodeType === XMLReader::TEXT;
echo $texts, "\n";
libxml_use_internal_errors(true);
echo @simplexml_load_string("<a><b></a>") === false ? count(libxml_get_errors()) : "parsed", "\n";

$text = str_repeat("Größe und Maß, 漢字かな交じり文。", 3000);
echo md5(mb_convert_encoding($text, "UTF-16LE", "UTF-8")), " ", md5(mb_strtoupper($text)), " ",
    mb_strlen($text), " ", mb_substr_count($text, "漢字"), "\n";
echo preg_match_all('/\p{Han}+/u', $text), " ", md5(preg_replace_callback('/\w+/u', fn($m) => strrev($m[0]), $text)), "\n";
